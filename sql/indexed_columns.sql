-- Every blind index, as it is moved to another index key: the sealed value it is made from, with the person's id in
-- front of it where it is indexed so, and the exchange.

-- name: list_users_username :many
-- params: after, most
SELECT id AS row_id, NULL::uuid AS person, username AS ciphertext, username_key_id AS key_id,
       username_index AS blind_index
  FROM users
 WHERE id > $1
 ORDER BY id
 LIMIT $2;

-- name: exchange_users_username :execrows
-- params: row_ids, old, new
UPDATE users AS t
   SET username_index = n.new
  FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.username_index = n.old;

-- name: list_devices_fingerprint :many
-- params: after, most
SELECT id AS row_id, user_id AS person, fingerprint AS ciphertext, fingerprint_key_id AS key_id,
       fingerprint_index AS blind_index
  FROM devices
 WHERE id > $1
 ORDER BY id
 LIMIT $2;

-- name: exchange_devices_fingerprint :execrows
-- params: row_ids, old, new
UPDATE devices AS t
   SET fingerprint_index = n.new
  FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.fingerprint_index = n.old;

-- name: list_user_sessions_device_fingerprint :many
-- params: after, most
SELECT session_id AS row_id, user_id AS person, device_fingerprint AS ciphertext, device_fingerprint_key_id AS key_id,
       device_fingerprint_index AS blind_index
  FROM user_sessions
 WHERE session_id > $1
   AND device_fingerprint IS NOT NULL
 ORDER BY session_id
 LIMIT $2;

-- name: exchange_user_sessions_device_fingerprint :execrows
-- params: row_ids, old, new
UPDATE user_sessions AS t
   SET device_fingerprint_index = n.new
  FROM unnest($1::uuid[], $2::bytea[], $3::bytea[]) AS n (row_id, old, new)
 WHERE t.session_id = n.row_id
   AND t.device_fingerprint_index = n.old;
