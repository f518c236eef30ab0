-- An account as a whole: what its owner and an operator do with it. Whoever changes one holds the person's row, locked
-- by a statement before.

-- name: get_account :one
-- params: user_id
SELECT id, username, username_key_id, totp_enabled, created_at, password_changed_at, last_login_at
  FROM users
 WHERE id = $1;

-- name: get_person :one
-- params: user_id
SELECT id, username, username_key_id, is_active, totp_enabled, locked_until, created_at, last_login_at
  FROM users
 WHERE id = $1;

-- name: find_person :one
-- params: username_indexes
SELECT id, username, username_key_id, is_active, totp_enabled, locked_until, created_at, last_login_at
  FROM users
 WHERE username_index = ANY($1::bytea[]);

-- name: list_people :many
-- params: after, most
-- In the order of their ids, which is that of their beginnings.
SELECT id, username, username_key_id, is_active, totp_enabled, locked_until, created_at, last_login_at
  FROM users
 WHERE id > $1
 ORDER BY id
 LIMIT $2;

-- name: get_credential :one
-- params: user_id
-- What a new password must still find unchanged when it is stored.
SELECT id, opaque_credential_id, sessions_revoked_at
  FROM users
 WHERE id = $1;

-- name: set_credential :execrows
-- params: user_id, opaque_record, opaque_record_key_id, opaque_setup_id, opaque_credential_id, replaces
-- Once for the credential that it replaces: NULL for somebody who has none yet.
UPDATE users
   SET opaque_record = $2, opaque_record_key_id = $3, opaque_setup_id = $4, opaque_credential_id = $5,
       password_changed_at = now()
 WHERE id = $1
   AND opaque_credential_id IS NOT DISTINCT FROM $6;

-- name: insert_person :execrows
-- params: user_id, username, username_key_id, username_index
-- Somebody without a password. No row when the id or the name is there already.
INSERT INTO users (id, username, username_key_id, username_index)
VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING;

-- name: set_username :execrows
-- params: user_id, username, username_key_id, username_index
-- That a name is somebody else's is said by the constraint users_username_index_unique: no look before could.
UPDATE users
   SET username = $2, username_key_id = $3, username_index = $4
 WHERE id = $1;

-- name: set_locked :execrows
-- params: user_id, lifetime
-- NULL unlocks. Not now(): that is when the transaction began, and it may have waited since.
UPDATE users
   SET locked_until = clock_timestamp() + $2::interval
 WHERE id = $1;

-- name: set_all_sessions_revoked :value
-- params: after, most
-- Keeps logins that began before now from finishing, for the next `most` people; returns the last of them, or NULL.
WITH next AS MATERIALIZED (
    SELECT id
      FROM users
     WHERE id > $1
     ORDER BY id
     LIMIT $2
       FOR NO KEY UPDATE
), held AS (
    UPDATE users u
       SET sessions_revoked_at = clock_timestamp()
      FROM next
     WHERE u.id = next.id
)
SELECT id
  FROM next
 ORDER BY id DESC
 LIMIT 1;

-- name: delete_person :execrows
-- params: user_id
-- Takes with it, by their foreign keys, sessions, refresh tokens, factors and whatever else refers to a person.
DELETE FROM users
 WHERE id = $1;
