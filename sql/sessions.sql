-- name: get_session :one
-- params: session_id
-- Whatever its state.
SELECT s.session_id, s.user_id, u.username, u.username_key_id, s.session_data, s.session_data_key_id, s.ip_address,
       s.ip_address_key_id, s.device_id, s.aal, s.authenticated_at, s.created_at, s.last_seen_at, s.idle_expires_at,
       s.expires_at, s.revoked_at, s.revoked_reason
  FROM user_sessions s
  JOIN users u ON u.id = s.user_id
 WHERE s.session_id = $1;

-- name: touch_sessions :many
-- params: session_ids, idle, unwritten
-- Those of these sessions that live, with their ended tokens, so that one cached document answers both questions; the
-- minute is for instances whose clock is behind. Their use is written down with it, in one statement for all of them
-- and where the last one stands for longer than `unwritten`: while Redis is away every request comes here. A row that
-- somebody holds is read and not written: to wait for it would hold up the others, and it is about to end, or is in use.
WITH due AS MATERIALIZED (
    SELECT s.session_id
      FROM user_sessions s
      JOIN users u ON u.id = s.user_id
     WHERE s.session_id = ANY($1::uuid[])
       AND s.last_seen_at <= now() - $3::interval
       AND u.is_active
       AND s.revoked_at IS NULL
       AND least(s.idle_expires_at, s.expires_at) > now()
       FOR NO KEY UPDATE OF s SKIP LOCKED
), touched AS (
       UPDATE user_sessions s
          SET last_seen_at = now(), idle_expires_at = least(now() + $2::interval, s.expires_at)
         FROM due
        WHERE s.session_id = due.session_id
    RETURNING s.session_id, s.last_seen_at, s.idle_expires_at
)
SELECT s.session_id, s.user_id, u.username, u.username_key_id, s.session_data, s.session_data_key_id, s.ip_address,
       s.ip_address_key_id, s.device_id, s.aal, s.authenticated_at, s.created_at,
       coalesce(t.last_seen_at, s.last_seen_at) AS last_seen_at,
       coalesce(t.idle_expires_at, s.idle_expires_at) AS idle_expires_at,
       s.expires_at, s.revoked_at, s.revoked_reason,
       ARRAY(SELECT b.jti
               FROM token_blacklist b
              WHERE b.session_id = s.session_id
                AND b.expires_at > now() - INTERVAL '1 minute'
              ORDER BY b.jti) AS ended_jtis
  FROM user_sessions s
  JOIN users u ON u.id = s.user_id
  LEFT JOIN touched t ON t.session_id = s.session_id
 WHERE s.session_id = ANY($1::uuid[])
   AND u.is_active
   AND s.revoked_at IS NULL
   AND least(s.idle_expires_at, s.expires_at) > now();

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

-- name: list_sessions :many
-- params: user_id, before, most
-- A page of all that are kept of a person, whatever their state, newest first: ids are in the order of their beginnings.
SELECT s.session_id, s.user_id, u.username, u.username_key_id, s.session_data, s.session_data_key_id, s.ip_address,
       s.ip_address_key_id, s.device_id, s.aal, s.authenticated_at, s.created_at, s.last_seen_at, s.idle_expires_at,
       s.expires_at, s.revoked_at, s.revoked_reason
  FROM user_sessions s
  JOIN users u ON u.id = s.user_id
 WHERE s.user_id = $1
   AND s.session_id < $2
 ORDER BY s.session_id DESC
 LIMIT $3;

-- name: list_cached_sessions :many
-- params: user_id
-- Those of which a document may stand in Redis: it is trusted for 30 seconds from the moment it was filled, and that
-- moment is written down here.
SELECT session_id
  FROM user_sessions
 WHERE user_id = $1
   AND revoked_at IS NULL
   AND last_seen_at > now() - INTERVAL '1 minute';

-- name: count_matching :value
-- params: user_id, aal, created_before, seen_before
-- Each NULL matches all.
SELECT count(*)
  FROM user_sessions
 WHERE revoked_at IS NULL
   AND least(idle_expires_at, expires_at) > now()
   AND ($1::uuid IS NULL OR user_id = $1)
   AND ($2::smallint IS NULL OR aal = $2)
   AND ($3::timestamptz IS NULL OR created_at < $3)
   AND ($4::timestamptz IS NULL OR last_seen_at < $4);

-- name: revoke_matching :many
-- params: user_id, aal, created_before, seen_before, reason, after, most
-- Ends the next `most` that live and match, in the order of their ids.
WITH live AS MATERIALIZED (
    SELECT session_id
      FROM user_sessions
     WHERE revoked_at IS NULL
       AND least(idle_expires_at, expires_at) > now()
       AND ($1::uuid IS NULL OR user_id = $1)
       AND ($2::smallint IS NULL OR aal = $2)
       AND ($3::timestamptz IS NULL OR created_at < $3)
       AND ($4::timestamptz IS NULL OR last_seen_at < $4)
       AND session_id > $6
     ORDER BY session_id
     LIMIT $7
       FOR NO KEY UPDATE
)
   UPDATE user_sessions s
      SET revoked_at = now(), revoked_reason = $5
     FROM live
    WHERE s.session_id = live.session_id
RETURNING s.session_id;

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

-- name: list_lately_revoked :many
-- The same of everybody, for as long as a cache may trust a document and twice that.
SELECT session_id
  FROM user_sessions
 WHERE revoked_at > now() - INTERVAL '1 minute';
