-- name: insert_token :value
-- params: token_hash, user_id, lifetime
-- Returns when it expires; no row for somebody who may not come in: disabled, locked or gone.
INSERT INTO recovery_tokens (token_hash, user_id, expires_at)
SELECT $1, u.id, now() + $3::interval
  FROM users u
 WHERE u.id = $2
   AND u.is_active
   AND coalesce(u.locked_until <= now(), TRUE)
RETURNING expires_at;

-- name: find_credential :one
-- params: token_hash, username_indexes
-- What a new password must still find unchanged, of the person whose token and name these are. The token is looked for
-- first: without a good one nothing is read of any person, and a name that somebody has takes no longer than another.
WITH token AS MATERIALIZED (
    SELECT user_id
      FROM recovery_tokens
     WHERE token_hash = $1
       AND used_at IS NULL
       AND expires_at > now()
)
SELECT u.id, u.opaque_credential_id, u.sessions_revoked_at
  FROM token t
  JOIN users u ON u.id = t.user_id
 WHERE u.username_index = ANY($2::bytea[]);

-- name: use_token :execrows
-- params: token_hash, user_id
-- Alone decides whether a token works: once.
UPDATE recovery_tokens
   SET used_at = now()
 WHERE token_hash = $1
   AND user_id = $2
   AND used_at IS NULL
   AND expires_at > now();

-- name: end_tokens :execrows
-- params: user_id
UPDATE recovery_tokens
   SET expires_at = now()
 WHERE user_id = $1
   AND used_at IS NULL
   AND expires_at > now();

-- name: list_tokens :many
-- params: user_id, most
SELECT created_at, expires_at, used_at
  FROM recovery_tokens
 WHERE user_id = $1
 ORDER BY created_at DESC, token_hash
 LIMIT $2;

-- name: delete_expired :execrows
-- Kept for a day longer, for whoever looks into what happened.
DELETE FROM recovery_tokens
 WHERE expires_at < now() - INTERVAL '1 day';
