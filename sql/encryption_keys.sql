-- name: limit_transaction :exec
-- params: statement_timeout, lock_timeout
-- Only this transaction, so that a pool in between (PgBouncer) hands nothing on. Who holds the lock is idle while the
-- ring is made: no shorter limit of this database may end that, but a host that lost its power must give it back. What
-- is sealed under a new key relies on the key: its commit is on disk when it returns, whatever the server's default.
SELECT set_config('statement_timeout', $1::text, TRUE),
       set_config('lock_timeout', $2::text, TRUE),
       set_config('idle_in_transaction_session_timeout', '60s', TRUE),
       set_config('synchronous_commit', 'on', TRUE);

-- name: take_lock :exec
-- To the end of the transaction. The number is only ours, and nothing more.
SELECT pg_advisory_xact_lock(4283716250918);

-- name: get_generation :value
SELECT generation
  FROM key_store;

-- name: get_stamp :value
-- Differs after every write, and after a change by hand.
SELECT concat_ws(' ', store_id, generation, xmin,
                 (SELECT concat_ws(' ', count(*), max(xmin::text::bigint)) FROM encryption_keys))
  FROM key_store;

-- name: get_ring :value
-- The text of keyring.json, so that both stores are read by the same lines, and anybody can make that file from a dump.
SELECT json_build_object(
           'version', version,
           'store_id', store_id,
           'generation', generation,
           'epoch', epoch,
           'kdf', json_build_object(
               'name', kdf_name,
               'salt', rtrim(translate(encode(kdf_salt, 'base64'), '+/', '-_'), '='),
               'rounds', kdf_rounds),
           'check', check_value,
           'keys', (
               SELECT coalesce(json_agg(json_build_object(
                          'id', id,
                          'purpose', purpose,
                          'algorithm', algorithm,
                          'state', state,
                          'created_at', created_at,
                          'activated_at', activated_at,
                          'wrapped', wrapped) ORDER BY position), '[]')
                 FROM encryption_keys)
       )::text
  FROM key_store;

-- name: insert_ring :execrows
-- params: version, store_id, generation, epoch, kdf_name, kdf_salt, kdf_rounds, check_value
-- The first to come stays.
INSERT INTO key_store (version, store_id, generation, epoch, kdf_name, kdf_salt, kdf_rounds, check_value)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING;

-- name: replace_ring :execrows
-- params: version, store_id, generation, epoch, kdf_name, kdf_salt, kdf_rounds, check_value, replaced
-- Only that state which was there when the lock was taken: a lock that was lost meanwhile loses no write.
UPDATE key_store
   SET version = $1, generation = $3, epoch = $4, kdf_name = $5, kdf_salt = $6, kdf_rounds = $7, check_value = $8
 WHERE store_id = $2
   AND generation = $9;

-- name: delete_keys :exec
DELETE FROM encryption_keys;

-- name: insert_key :exec
-- params: id, store_id, position, purpose, algorithm, state, created_at, activated_at, wrapped
INSERT INTO encryption_keys (id, store_id, position, purpose, algorithm, state, created_at, activated_at, wrapped)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9);

-- name: delete_ring :execrows
-- params: deleted
-- Its keys go with it.
DELETE FROM key_store
 WHERE generation = $1;
