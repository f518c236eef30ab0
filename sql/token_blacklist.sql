-- name: insert_ended :execrows
-- params: jti, session_id, expires_at, reason
-- Ends one access token; no row when it has been ended already.
INSERT INTO token_blacklist (jti, session_id, expires_at, reason)
VALUES ($1, $2, $3, $4)
    ON CONFLICT (jti) DO NOTHING;

-- name: is_ended :value
-- params: jti
SELECT EXISTS (SELECT FROM token_blacklist WHERE jti = $1);

-- name: delete_expired :execrows
-- An expired token is refused without being listed. A minute more, for instances whose clock is behind.
DELETE FROM token_blacklist
 WHERE expires_at < now() - INTERVAL '1 minute';
