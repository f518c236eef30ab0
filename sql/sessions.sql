-- name: insert_session :execrows
-- params: session_id, user_id, session_data, session_data_key_id, ip_address, ip_address_key_id, aal, idle, absolute, device_id, device_fingerprint, device_fingerprint_key_id, device_fingerprint_index
-- No row when the id is there: the id was drawn as the login began, so that one login makes one session at most.
INSERT INTO user_sessions (session_id, user_id, session_data, session_data_key_id, ip_address, ip_address_key_id,
                           aal, idle_expires_at, expires_at, device_id, device_fingerprint, device_fingerprint_key_id,
                           device_fingerprint_index)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + least($8::interval, $9::interval), now() + $9::interval, $10, $11, $12, $13)
    ON CONFLICT (session_id) DO NOTHING;

-- name: get_session :one
-- params: session_id
-- Whatever its state.
SELECT s.session_id, s.user_id, u.username, u.username_key_id, s.session_data, s.session_data_key_id, s.ip_address,
       s.ip_address_key_id, s.device_id, s.aal, s.authenticated_at, s.created_at, s.last_seen_at, s.idle_expires_at,
       s.expires_at, s.revoked_at, s.revoked_reason
  FROM user_sessions s
  JOIN users u ON u.id = s.user_id
 WHERE s.session_id = $1;

-- name: touch_session :one
-- params: session_id, idle
-- Decides whether a session lives, prolongs it and reads it, in one step. Its ended tokens come with it, so that one
-- cached document answers both questions; the minute is for instances whose clock is behind.
   UPDATE user_sessions s
      SET last_seen_at = now(), idle_expires_at = least(now() + $2::interval, s.expires_at)
     FROM users u
    WHERE s.session_id = $1
      AND u.id = s.user_id
      AND u.is_active
      AND s.revoked_at IS NULL
      AND least(s.idle_expires_at, s.expires_at) > now()
RETURNING s.session_id, s.user_id, u.username, u.username_key_id, s.session_data, s.session_data_key_id, s.ip_address,
          s.ip_address_key_id, s.device_id, s.aal, s.authenticated_at, s.created_at, s.last_seen_at,
          s.idle_expires_at, s.expires_at, s.revoked_at, s.revoked_reason,
          ARRAY(SELECT b.jti
                  FROM token_blacklist b
                 WHERE b.session_id = s.session_id
                   AND b.expires_at > now() - INTERVAL '1 minute'
                 ORDER BY b.jti) AS ended_jtis;

-- name: is_fresh :value
-- params: session_id, within
-- Whether password, and factor where one is enrolled, were proven lately; NULL for a session that is over.
SELECT s.authenticated_at > now() - $2::interval AND (s.aal = 2 OR NOT u.totp_enabled)
  FROM user_sessions s
  JOIN users u ON u.id = s.user_id
 WHERE s.session_id = $1
   AND u.is_active
   AND s.revoked_at IS NULL
   AND least(s.idle_expires_at, s.expires_at) > now();

-- name: set_authenticated :value
-- params: session_id, user_id, authenticated_before, aal, session_data, session_data_key_id
-- Renews the proof of a living session, once for what it was when the proof began: compared by value, so that a flow
-- which Redis brings back after a failover renews nothing.
UPDATE user_sessions
   SET authenticated_at = now(), aal = $4, session_data = $5, session_data_key_id = $6
 WHERE session_id = $1
   AND user_id = $2
   AND authenticated_at = $3
   AND revoked_at IS NULL
   AND least(idle_expires_at, expires_at) > now()
RETURNING authenticated_at;

-- name: list_live_sessions :many
-- params: user_id
-- The newest hundred: each is opened for its owner, and no request may keep the others waiting for long.
SELECT s.session_id, s.user_id, u.username, u.username_key_id, s.session_data, s.session_data_key_id, s.ip_address,
       s.ip_address_key_id, s.device_id, s.aal, s.authenticated_at, s.created_at, s.last_seen_at, s.idle_expires_at,
       s.expires_at, s.revoked_at, s.revoked_reason
  FROM user_sessions s
  JOIN users u ON u.id = s.user_id
 WHERE s.user_id = $1
   AND u.is_active
   AND s.revoked_at IS NULL
   AND least(s.idle_expires_at, s.expires_at) > now()
 ORDER BY s.created_at DESC, s.session_id DESC
 LIMIT 100;

-- name: revoke_session :execrows
-- params: session_id, user_id, reason
-- Counts a row only when this ended it.
UPDATE user_sessions
   SET revoked_at = now(), revoked_reason = $3
 WHERE session_id = $1
   AND user_id = $2
   AND revoked_at IS NULL;

-- name: revoke_sessions :many
-- params: user_id, keep, reason, device_id
-- Ends all that live but `keep`, or of these only a device's; both may be NULL. Locks in the order of ids, so that two
-- of these cannot wait for each other.
WITH live AS MATERIALIZED (
    SELECT session_id
      FROM user_sessions
     WHERE user_id = $1
       AND session_id IS DISTINCT FROM $2::uuid
       AND ($4::uuid IS NULL OR device_id = $4)
       AND revoked_at IS NULL
       AND least(idle_expires_at, expires_at) > now()
     ORDER BY session_id
       FOR NO KEY UPDATE
)
   UPDATE user_sessions s
      SET revoked_at = now(), revoked_reason = $3
     FROM live
    WHERE s.session_id = live.session_id
RETURNING s.session_id;

-- name: list_recently_revoked :many
-- params: user_id
-- Those whose tombstone may still be missing: far longer than any cache trusts a document.
SELECT session_id
  FROM user_sessions
 WHERE user_id = $1
   AND revoked_at > now() - INTERVAL '10 minutes';
