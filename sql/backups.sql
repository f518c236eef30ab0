-- Backups: what one is made of is read in one snapshot; what it must not bring back to life is ended by the schema's
-- owner before anybody is served.

-- name: hold_snapshot :exec
-- The first statement of a transaction: everything after it sees the database as it is now.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;

-- name: export_snapshot :value
-- By this another connection sees the same, for as long as this transaction stays open.
SELECT pg_export_snapshot();

-- name: get_server_version :value
-- 180003 is 18.3.
SELECT current_setting('server_version_num')::integer;

-- name: count_tables :value
SELECT count(*)
  FROM pg_class
 WHERE relnamespace = 'public'::regnamespace
   AND relkind = 'r';

-- name: is_ours :value
-- Whether the tables are there by which a database knows its key store and its epoch.
SELECT to_regclass('public.deployment') IS NOT NULL AND to_regclass('public.key_store_identity') IS NOT NULL;

-- name: get_newest_moment :value
-- When the last thing happened of which the trail knows.
SELECT max(occurred_at)
  FROM audit_logs;

-- name: close_functions :exec
-- Rights are not brought back, since they name roles of another server: what was taken from everybody is taken again.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;

-- name: end_sessions :execrows
-- Refresh tokens and access tokens end with them.
UPDATE user_sessions
   SET revoked_at = now(), revoked_reason = 'restore'
 WHERE revoked_at IS NULL;

-- name: end_device_tokens :execrows
-- The devices stay in their owners' lists, and are not trusted any more.
UPDATE devices
   SET token_hash = NULL, previous_hash = NULL, token_expires_at = NULL, trusted_until = NULL
 WHERE token_hash IS NOT NULL;

-- name: end_recovery_tokens :execrows
UPDATE recovery_tokens
   SET expires_at = now()
 WHERE used_at IS NULL
   AND expires_at > now();

-- name: end_service_tokens :execrows
UPDATE service_tokens
   SET revoked_at = now()
 WHERE revoked_at IS NULL;

-- name: delete_recovery_codes :execrows
-- Which of them were used since the backup, nobody knows.
DELETE FROM recovery_codes;

-- name: use_up_steps :execrows
-- params: step
-- Likewise of codes: none of a step up to this one is accepted.
UPDATE users
   SET totp_last_step = greatest(totp_last_step, $1)
 WHERE totp_enabled;
