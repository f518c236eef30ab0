-- Every sealed column, as the sweep moves it to another key: what is under the wrong key, in the order of the primary
-- key, and the exchange, which compares the old CIPHERTEXT. By the key id alone, a value written meanwhile under the same
-- key would be lost to an older one.

-- name: list_users_username :many
-- params: key_id, after, most
SELECT id AS row_id, username AS ciphertext, username_key_id AS key_id
  FROM users
 WHERE username_key_id <> $1
   AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: exchange_users_username :execrows
-- params: key_id, row_ids, old, new
UPDATE users AS t
   SET username = n.new, username_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.username = n.old;

-- name: list_users_opaque_record :many
-- params: key_id, after, most
SELECT id AS row_id, opaque_record AS ciphertext, opaque_record_key_id AS key_id
  FROM users
 WHERE opaque_record_key_id <> $1
   AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: exchange_users_opaque_record :execrows
-- params: key_id, row_ids, old, new
UPDATE users AS t
   SET opaque_record = n.new, opaque_record_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.opaque_record = n.old;

-- name: list_users_totp_secret :many
-- params: key_id, after, most
SELECT id AS row_id, totp_secret AS ciphertext, totp_secret_key_id AS key_id
  FROM users
 WHERE totp_secret_key_id <> $1
   AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: exchange_users_totp_secret :execrows
-- params: key_id, row_ids, old, new
UPDATE users AS t
   SET totp_secret = n.new, totp_secret_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.totp_secret = n.old;

-- name: list_user_sessions_session_data :many
-- params: key_id, after, most
SELECT session_id AS row_id, session_data AS ciphertext, session_data_key_id AS key_id
  FROM user_sessions
 WHERE session_data_key_id <> $1
   AND session_id > $2
 ORDER BY session_id
 LIMIT $3;

-- name: exchange_user_sessions_session_data :execrows
-- params: key_id, row_ids, old, new
UPDATE user_sessions AS t
   SET session_data = n.new, session_data_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.session_id = n.row_id
   AND t.session_data = n.old;

-- name: list_user_sessions_ip_address :many
-- params: key_id, after, most
SELECT session_id AS row_id, ip_address AS ciphertext, ip_address_key_id AS key_id
  FROM user_sessions
 WHERE ip_address_key_id <> $1
   AND session_id > $2
 ORDER BY session_id
 LIMIT $3;

-- name: exchange_user_sessions_ip_address :execrows
-- params: key_id, row_ids, old, new
UPDATE user_sessions AS t
   SET ip_address = n.new, ip_address_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.session_id = n.row_id
   AND t.ip_address = n.old;

-- name: list_user_sessions_device_fingerprint :many
-- params: key_id, after, most
SELECT session_id AS row_id, device_fingerprint AS ciphertext, device_fingerprint_key_id AS key_id
  FROM user_sessions
 WHERE device_fingerprint_key_id <> $1
   AND session_id > $2
 ORDER BY session_id
 LIMIT $3;

-- name: exchange_user_sessions_device_fingerprint :execrows
-- params: key_id, row_ids, old, new
UPDATE user_sessions AS t
   SET device_fingerprint = n.new, device_fingerprint_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.session_id = n.row_id
   AND t.device_fingerprint = n.old;

-- name: list_devices_fingerprint :many
-- params: key_id, after, most
SELECT id AS row_id, fingerprint AS ciphertext, fingerprint_key_id AS key_id
  FROM devices
 WHERE fingerprint_key_id <> $1
   AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: exchange_devices_fingerprint :execrows
-- params: key_id, row_ids, old, new
UPDATE devices AS t
   SET fingerprint = n.new, fingerprint_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.fingerprint = n.old;

-- name: list_devices_info :many
-- params: key_id, after, most
SELECT id AS row_id, info AS ciphertext, info_key_id AS key_id
  FROM devices
 WHERE info_key_id <> $1
   AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: exchange_devices_info :execrows
-- params: key_id, row_ids, old, new
UPDATE devices AS t
   SET info = n.new, info_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.info = n.old;

-- name: list_devices_name :many
-- params: key_id, after, most
SELECT id AS row_id, name AS ciphertext, name_key_id AS key_id
  FROM devices
 WHERE name_key_id <> $1
   AND id > $2
 ORDER BY id
 LIMIT $3;

-- name: exchange_devices_name :execrows
-- params: key_id, row_ids, old, new
UPDATE devices AS t
   SET name = n.new, name_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.id = n.row_id
   AND t.name = n.old;

-- name: list_refresh_tokens_metadata :many
-- params: key_id, after, most
SELECT token_hash AS row_id, metadata AS ciphertext, metadata_key_id AS key_id
  FROM refresh_tokens
 WHERE metadata_key_id <> $1
   AND token_hash > $2
 ORDER BY token_hash
 LIMIT $3;

-- name: exchange_refresh_tokens_metadata :execrows
-- params: key_id, row_ids, old, new
UPDATE refresh_tokens AS t
   SET metadata = n.new, metadata_key_id = $1
  FROM unnest($2::bytea[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.token_hash = n.row_id
   AND t.metadata = n.old;

-- name: list_refresh_tokens_successor :many
-- params: key_id, after, most
SELECT token_hash AS row_id, successor AS ciphertext, successor_key_id AS key_id
  FROM refresh_tokens
 WHERE successor_key_id <> $1
   AND token_hash > $2
 ORDER BY token_hash
 LIMIT $3;

-- name: exchange_refresh_tokens_successor :execrows
-- params: key_id, row_ids, old, new
UPDATE refresh_tokens AS t
   SET successor = n.new, successor_key_id = $1
  FROM unnest($2::bytea[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.token_hash = n.row_id
   AND t.successor = n.old;

-- name: list_audit_subjects_secret :many
-- params: key_id, after, most
SELECT user_id AS row_id, secret AS ciphertext, secret_key_id AS key_id
  FROM audit_subjects
 WHERE secret_key_id <> $1
   AND user_id > $2
 ORDER BY user_id
 LIMIT $3;

-- name: exchange_audit_subjects_secret :execrows
-- params: key_id, row_ids, old, new
UPDATE audit_subjects AS t
   SET secret = n.new, secret_key_id = $1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS n (row_id, old, new)
 WHERE t.user_id = n.row_id
   AND t.secret = n.old;

-- name: count_rows :many
-- What hangs on each key: values sealed or hashed with it, people registered under it.
SELECT 'users.username' AS place, username_key_id AS key_id, count(*) AS rows
  FROM users
 WHERE username_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'users.opaque_record' AS place, opaque_record_key_id AS key_id, count(*) AS rows
  FROM users
 WHERE opaque_record_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'users.totp_secret' AS place, totp_secret_key_id AS key_id, count(*) AS rows
  FROM users
 WHERE totp_secret_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'user_sessions.session_data' AS place, session_data_key_id AS key_id, count(*) AS rows
  FROM user_sessions
 WHERE session_data_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'user_sessions.ip_address' AS place, ip_address_key_id AS key_id, count(*) AS rows
  FROM user_sessions
 WHERE ip_address_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'user_sessions.device_fingerprint' AS place, device_fingerprint_key_id AS key_id, count(*) AS rows
  FROM user_sessions
 WHERE device_fingerprint_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'devices.fingerprint' AS place, fingerprint_key_id AS key_id, count(*) AS rows
  FROM devices
 WHERE fingerprint_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'devices.info' AS place, info_key_id AS key_id, count(*) AS rows
  FROM devices
 WHERE info_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'devices.name' AS place, name_key_id AS key_id, count(*) AS rows
  FROM devices
 WHERE name_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'refresh_tokens.metadata' AS place, metadata_key_id AS key_id, count(*) AS rows
  FROM refresh_tokens
 WHERE metadata_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'refresh_tokens.successor' AS place, successor_key_id AS key_id, count(*) AS rows
  FROM refresh_tokens
 WHERE successor_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'audit_logs.details' AS place, details_key_id AS key_id, count(*) AS rows
  FROM audit_logs
 WHERE details_key_id IS NOT NULL
 GROUP BY key_id
 UNION ALL
SELECT 'audit_logs.entry_hash', entry_hash_key_id, count(*)
  FROM audit_logs
 GROUP BY entry_hash_key_id
 UNION ALL
SELECT 'audit_subjects.secret', secret_key_id, count(*)
  FROM audit_subjects
 GROUP BY secret_key_id
 UNION ALL
SELECT 'audit_seals.signing', signing_key_id, count(*)
  FROM audit_seals
 GROUP BY signing_key_id
 UNION ALL
SELECT 'users.opaque_setup_id', opaque_setup_id, count(*)
  FROM users
 WHERE opaque_setup_id IS NOT NULL
 GROUP BY opaque_setup_id
 ORDER BY place;
