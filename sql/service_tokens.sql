-- name: insert_token :exec
-- params: token_id, name, token_hash, scopes, expires_at
INSERT INTO service_tokens (id, name, token_hash, scopes, expires_at)
VALUES ($1, $2, $3, $4, $5);

-- name: find_live :one
-- params: token_hash
-- The token that is presented, if it holds. Its use is noted once a minute: a backend that asks a thousand times a
-- second must not wait for its own row.
WITH noted AS (
    UPDATE service_tokens
       SET last_used_at = now()
     WHERE token_hash = $1
       AND revoked_at IS NULL
       AND (expires_at IS NULL OR expires_at > now())
       AND (last_used_at IS NULL OR last_used_at < now() - INTERVAL '1 minute')
)
SELECT id, name, scopes, created_at, expires_at, last_used_at, revoked_at
  FROM service_tokens
 WHERE token_hash = $1
   AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now());

-- name: list_tokens :many
-- All that were ever made, oldest first.
SELECT id, name, scopes, created_at, expires_at, last_used_at, revoked_at
  FROM service_tokens
 ORDER BY created_at, id;

-- name: revoke_token :execrows
-- params: token_id
-- Counts a row only when this ended it.
UPDATE service_tokens
   SET revoked_at = now()
 WHERE id = $1
   AND revoked_at IS NULL;
