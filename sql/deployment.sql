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

-- name: count_rows :value
-- params: key_id
-- How many sealed values and keyed hashes need this key, over every column that ends in `_key_id`.
SELECT (SELECT count(*) FROM users WHERE username_key_id = $1)
     + (SELECT count(*) FROM users WHERE opaque_record_key_id = $1)
     + (SELECT count(*) FROM users WHERE totp_secret_key_id = $1)
     + (SELECT count(*) FROM user_sessions WHERE session_data_key_id = $1)
     + (SELECT count(*) FROM user_sessions WHERE ip_address_key_id = $1)
     + (SELECT count(*) FROM user_sessions WHERE device_fingerprint_key_id = $1)
     + (SELECT count(*) FROM refresh_tokens WHERE metadata_key_id = $1)
     + (SELECT count(*) FROM refresh_tokens WHERE successor_key_id = $1)
     + (SELECT count(*) FROM audit_logs WHERE details_key_id = $1)
     + (SELECT count(*) FROM audit_logs WHERE entry_hash_key_id = $1);
