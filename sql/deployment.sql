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
