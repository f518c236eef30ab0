-- name: end_logins :many
-- params: user_ids, logins, found_at, entries
-- All that logins end with: the session, its first refresh token, its owner's last login, and the entries of the trail as
-- in `insert_entries`; or the entries alone, of those that ask for the second factor and go on. `logins` is an array of
-- JSON objects, one for each, and `user_ids` are those of their owners. One statement and not five in a transaction for
-- each: round trips are most of what a login costs.
-- A person's row is held and judged as in `lock_standing`, and comes back without a session where nothing was inserted:
-- the standing is not good, or the id is there. It was drawn as the login began, so that one login makes one session.
-- Nobody waits for another's row: one that somebody else holds does not come back at all.
-- With `found_at` no transaction tells that values were sealed lately, and nobody has looked for a second factor: both
-- are done here. A process that was stopped in between must not write under a key that was destroyed meanwhile.
WITH held AS MATERIALIZED (
    SELECT id, username, username_key_id, is_active, totp_enabled, opaque_credential_id, sessions_revoked_at,
           coalesce(locked_until > now(), FALSE) AS locked
      FROM users
     WHERE id = ANY($1::uuid[])
       FOR NO KEY UPDATE SKIP LOCKED
), login AS MATERIALIZED (
    SELECT l.user_id, l.session_id, l.asks, l.session_data, l.session_data_key_id, l.ip_address, l.ip_address_key_id,
           l.aal, l.idle, l.absolute, l.device_id, l.device_fingerprint, l.device_fingerprint_key_id,
           decode(l.device_fingerprint_index, 'base64') AS device_fingerprint_index,
           decode(l.token_hash, 'base64') AS token_hash, l.metadata, l.metadata_key_id,
           h.username, h.username_key_id, h.is_active, h.totp_enabled, h.locked,
           h.opaque_credential_id IS NOT DISTINCT FROM decode(l.credential_id, 'base64')
           AND h.sessions_revoked_at IS NOT DISTINCT FROM l.revoked_at AS current
      FROM json_to_recordset($2::json)
        AS l (user_id uuid, credential_id text, revoked_at timestamptz, session_id uuid, asks boolean,
              session_data text, session_data_key_id text, ip_address text, ip_address_key_id text, aal smallint,
              idle interval, absolute interval, device_id uuid, device_fingerprint text,
              device_fingerprint_key_id text, device_fingerprint_index text, token_hash text, metadata text,
              metadata_key_id text)
      JOIN held h ON h.id = l.user_id
), allowed AS MATERIALIZED (
    SELECT session_id, asks
      FROM login
     WHERE current
       AND is_active
       AND NOT locked
       AND CASE
               WHEN asks THEN totp_enabled
               ELSE $3::timestamptz IS NULL OR NOT totp_enabled
           END
       AND ($3 IS NULL OR now() - $3 < INTERVAL '5 seconds')
), s AS (
    INSERT INTO user_sessions (session_id, user_id, session_data, session_data_key_id, ip_address, ip_address_key_id,
                               aal, idle_expires_at, expires_at, device_id, device_fingerprint,
                               device_fingerprint_key_id, device_fingerprint_index)
    SELECT session_id, user_id, session_data, session_data_key_id, ip_address, ip_address_key_id, aal,
           now() + least(idle, absolute), now() + absolute, device_id, device_fingerprint, device_fingerprint_key_id,
           device_fingerprint_index
      FROM login
     WHERE session_id IN (SELECT allowed.session_id FROM allowed WHERE NOT allowed.asks)
        ON CONFLICT (session_id) DO NOTHING
    RETURNING session_id, user_id, device_id, aal, authenticated_at, created_at, last_seen_at, idle_expires_at,
              expires_at, revoked_at, revoked_reason
), token AS (
    INSERT INTO refresh_tokens (token_hash, session_id, user_id, metadata, metadata_key_id)
    SELECT login.token_hash, s.session_id, s.user_id, login.metadata, login.metadata_key_id
      FROM s
      JOIN login USING (session_id)
), seen AS (
    UPDATE users
       SET last_login_at = now()
      FROM s
     WHERE users.id = s.user_id
), entries AS (
    INSERT INTO audit_logs (retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id,
                            user_id, session_id, request_id, subject_index, details, details_key_id, entry_hash,
                            entry_hash_key_id)
    SELECT n.retention, n.occurred_at, n.id, n.action, n.outcome, n.reason, n.severity, n.actor_type, n.actor_id,
           n.user_id, n.session_id, n.request_id, decode(n.subject_index, 'base64'), n.details, n.details_key_id,
           decode(n.entry_hash, 'base64'), n.entry_hash_key_id
      FROM (SELECT session_id FROM s UNION ALL SELECT session_id FROM allowed WHERE asks) AS told
      JOIN json_to_recordset($4::json)
        AS n (retention text, occurred_at timestamptz, id uuid, action text, outcome text, reason text, severity text,
              actor_type text, actor_id text, user_id uuid, session_id uuid, request_id text, subject_index text,
              details text, details_key_id text, entry_hash text, entry_hash_key_id text)
        ON n.session_id = told.session_id
)
SELECT login.session_id AS login_id, login.is_active, login.locked, login.current, login.totp_enabled,
       login.username, login.username_key_id, coalesce(allowed.asks, FALSE) AS asked,
       s.session_id, s.user_id, s.device_id, s.aal, s.authenticated_at, s.created_at, s.last_seen_at,
       s.idle_expires_at, s.expires_at, s.revoked_at, s.revoked_reason
  FROM login
  LEFT JOIN s ON s.session_id = login.session_id
  LEFT JOIN allowed ON allowed.session_id = login.session_id;
