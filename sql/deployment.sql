-- name: get_identity :one
-- The key store that this database belongs to.
SELECT store_id, generation
  FROM key_store_identity;

-- name: insert_identity :execrows
-- params: store_id, generation
-- The first to come stays.
INSERT INTO key_store_identity (store_id, generation)
VALUES ($1, $2)
    ON CONFLICT DO NOTHING;

-- name: set_generation :execrows
-- params: generation
-- Forwards only: an older key store must go on being refused.
UPDATE key_store_identity
   SET generation = $1
 WHERE generation < $1;

-- name: get_epoch :value
SELECT epoch
  FROM deployment;

-- name: insert_epoch :execrows
-- params: epoch
-- The first to come stays.
INSERT INTO deployment (epoch)
VALUES ($1)
    ON CONFLICT DO NOTHING;

-- name: has_sealed_rows :value
-- Sessions, tokens and their sealed fields only exist beneath a user.
SELECT EXISTS (SELECT FROM users) OR EXISTS (SELECT FROM audit_logs);

-- name: list_data_keys :many
SELECT key_id
  FROM data_keys
 ORDER BY first_seen_at, key_id;

-- name: insert_data_key :execrows
-- params: key_id
INSERT INTO data_keys (key_id)
VALUES ($1)
    ON CONFLICT DO NOTHING;

-- name: reserve_operations :execrows
-- params: key_id, operations, most
-- Counts before anything is sealed. Nothing is reserved beyond `most` (NULL: no bound), or of a retired key.
INSERT INTO data_keys AS k (key_id, operations)
VALUES ($1, $2)
    ON CONFLICT (key_id) DO UPDATE
   SET operations = k.operations + $2
 WHERE k.retired_at IS NULL
   AND ($3::bigint IS NULL OR k.operations + $2 <= $3);

-- name: hold_data_key :value
-- params: key_id
-- To the end of the transaction nobody takes the key from sealing; uses of it can be reserved meanwhile. NULL for a key
-- that is retired, or was not noted yet.
SELECT TRUE
  FROM data_keys
 WHERE key_id = $1
   AND retired_at IS NULL
   FOR KEY SHARE;

-- name: retire_key :execrows
-- params: key_id
-- Takes a data key from sealing for good, after whoever holds it: no process reserves a use of it any more.
WITH alone AS MATERIALIZED (
    SELECT key_id
      FROM data_keys
     WHERE key_id = $1
       FOR UPDATE
)
INSERT INTO data_keys AS k (key_id, retired_at)
SELECT $1, now()
  FROM (SELECT count(*) FROM alone) AS waited
    ON CONFLICT (key_id) DO UPDATE
   SET retired_at = coalesce(k.retired_at, now());

-- name: list_operations :many
SELECT key_id, operations
  FROM data_keys;

-- name: share_names :one
-- Held to the end of the transaction by whoever gives somebody a name, beside others who do. The generation is the
-- newest state of the key store that was written down here.
SELECT pg_try_advisory_xact_lock_shared(hashtextextended('cypher.names', 0)) AS held, generation
  FROM key_store_identity;

-- name: wait_for_names :exec
-- Waits until nobody who began before is giving somebody a name.
SELECT pg_advisory_xact_lock(hashtextextended('cypher.names', 0));

-- name: try_reencryption :value
-- Held to the end of the transaction by the one instance that re-encrypts in the background.
SELECT pg_try_advisory_xact_lock(hashtextextended('cypher.reencryption', 0));

-- name: try_asked_reencryption :value
-- The same for the one instance that an operator has asked to; the two may go on beside each other.
SELECT pg_try_advisory_xact_lock(hashtextextended('cypher.reencryption.asked', 0));

-- name: try_key_entries :value
-- Held to the end of the transaction by the one instance that records what others have left unrecorded.
SELECT pg_try_advisory_xact_lock(hashtextextended('cypher.key_entries', 0));

-- name: is_reencrypting :value
-- Whether somebody holds one of these two; a lock's number stands in pg_locks in halves.
SELECT EXISTS (SELECT
                 FROM pg_locks
                WHERE locktype = 'advisory'
                  AND granted
                  AND objsubid = 1
                  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                  AND ((classid::bigint << 32) | objid::bigint)
                      IN (hashtextextended('cypher.reencryption', 0), hashtextextended('cypher.reencryption.asked', 0)));

-- name: stay_idle :exec
-- For a transaction that only holds a lock: it has no snapshot, and keeps nothing from being vacuumed.
SET LOCAL idle_in_transaction_session_timeout = 0;

-- name: set_epoch :execrows
-- params: epoch
-- After a backup was brought back, as the schema's owner: the service itself may not change an epoch.
INSERT INTO deployment (epoch)
VALUES ($1)
    ON CONFLICT ON CONSTRAINT deployment_pk DO UPDATE
   SET epoch = excluded.epoch;
