-- name: find_login_records :many
-- params: username_indexes
-- What a login needs of a person. Its end looks whether `sessions_revoked_at` is still what it was here. Somebody who has
-- no password yet has no record.
SELECT username_index, id, opaque_record, opaque_record_key_id, opaque_setup_id, opaque_credential_id,
       sessions_revoked_at, totp_enabled
  FROM users
 WHERE username_index = ANY($1::bytea[])
   AND opaque_record IS NOT NULL;

-- name: get_login_record :one
-- params: user_id
-- The same of a person who is logged in and proves the password again.
SELECT id, opaque_record, opaque_record_key_id, opaque_setup_id, opaque_credential_id, sessions_revoked_at,
       totp_enabled
  FROM users
 WHERE id = $1;

-- name: find_by_username :one
-- params: username_indexes
SELECT id, username, username_key_id, opaque_setup_id, is_active, totp_enabled, locked_until, created_at, last_login_at
  FROM users
 WHERE username_index = ANY($1::bytea[]);

-- name: get_user :one
-- params: user_id
SELECT id, username, username_key_id, opaque_setup_id, is_active, totp_enabled, locked_until, created_at, last_login_at
  FROM users
 WHERE id = $1;

-- name: insert_user :one
-- params: user_id, username, username_key_id, username_index, opaque_record, opaque_record_key_id, opaque_setup_id, opaque_credential_id
-- No row when the id or the name is there already; whoever comes second waits for the first to commit.
INSERT INTO users (id, username, username_key_id, username_index, opaque_record, opaque_record_key_id,
                   opaque_setup_id, opaque_credential_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING
RETURNING id, username, username_key_id, opaque_setup_id, is_active, totp_enabled, locked_until, created_at,
          last_login_at;

-- name: lock_standing :one
-- params: user_id, credential_id, sessions_revoked_at
-- Holds the person's row to the end of the transaction, and judges its newest version: whatever changes the standing
-- waits for this login, or this login sees it. Compared by value: a revocation that commits late counts all the same.
-- First in the order of locks: user, session, token.
SELECT is_active,
       coalesce(locked_until > now(), FALSE) AS locked,
       opaque_credential_id IS NOT DISTINCT FROM $2 AND sessions_revoked_at IS NOT DISTINCT FROM $3 AS current,
       totp_enabled
  FROM users
 WHERE id = $1
   FOR NO KEY UPDATE;

-- name: hold_user :value
-- params: user_id
-- Holds the person's row to the end of the transaction, so that the statements after this one see its newest version.
SELECT TRUE
  FROM users
 WHERE id = $1
   FOR NO KEY UPDATE;

-- name: set_sessions_revoked :execrows
-- params: user_id
-- Logins that began before this moment cannot finish. Not now(): that is when the transaction began, and it may have
-- waited since.
UPDATE users
   SET sessions_revoked_at = clock_timestamp()
 WHERE id = $1;

-- name: set_active :execrows
-- params: user_id, is_active
-- Counts a row only when this changes it.
UPDATE users
   SET is_active = $2
 WHERE id = $1
   AND is_active <> $2;
