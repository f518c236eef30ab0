-- name: find_session_id :value
-- params: token_hash
SELECT session_id
  FROM refresh_tokens
 WHERE token_hash = $1;

-- name: list_tokens :many
-- params: user_id, before, before_hash, most
-- A page of what is kept of a person's tokens, newest first; found by their sessions, which have an index.
SELECT t.token_hash, t.session_id, t.metadata, t.metadata_key_id, t.issued_at, t.consumed_at
  FROM user_sessions s
  JOIN refresh_tokens t USING (session_id)
 WHERE s.user_id = $1
   AND (t.issued_at, t.token_hash) < ($2::timestamptz, $3::bytea)
 ORDER BY t.issued_at DESC, t.token_hash DESC
 LIMIT $4;

-- name: rotate :one
-- params: old_hash, new_hash, successor, successor_key_id, grace, idle, metadata, metadata_key_id
-- Decides what a presented token is worth and does what follows from it, in one statement; no row for an unknown one.
-- The session's row is the family's lock, and its `revoked_at` the one truth about the family: a child that this
-- statement's snapshot cannot see dies with it. Order of locks: session, token.
WITH family AS MATERIALIZED (
    SELECT s.session_id, s.revoked_at, least(s.expires_at, s.idle_expires_at) AS ends_at
      FROM user_sessions s
     WHERE s.session_id = (SELECT t.session_id FROM refresh_tokens t WHERE t.token_hash = $1)
       FOR NO KEY UPDATE
), presented AS MATERIALIZED (  -- a locking read returns the newest version of the row, not the snapshot's
    SELECT t.token_hash, t.session_id, t.user_id, t.parent_hash, t.consumed_at, t.successor, t.successor_key_id
      FROM refresh_tokens t
      JOIN family USING (session_id)
     WHERE t.token_hash = $1
       FOR UPDATE OF t
), verdict AS MATERIALIZED (
    SELECT p.token_hash, p.session_id, p.user_id, p.parent_hash, p.successor, p.successor_key_id,
           CASE WHEN f.revoked_at IS NOT NULL OR NOT u.is_active                               THEN 'dead'
                WHEN f.ends_at <= now()                                                       THEN 'expired'
                WHEN p.consumed_at IS NULL                                                    THEN 'rotated'
                WHEN p.successor IS NOT NULL AND p.consumed_at > now() - $5::interval         THEN 'repeated'
                ELSE 'reused'
           END AS word
      FROM presented p
      JOIN family f USING (session_id)
      JOIN users u ON u.id = p.user_id
), spent AS (
    UPDATE refresh_tokens t
       SET consumed_at = now(), successor = $3, successor_key_id = $4
      FROM verdict v
     WHERE v.word = 'rotated'
       AND t.token_hash = v.token_hash
), forgotten AS (  -- the presented token is in use, so its parent's answer has arrived: no grace for the parent
    UPDATE refresh_tokens t
       SET successor = NULL, successor_key_id = NULL
      FROM verdict v
     WHERE v.word = 'rotated'
       AND t.token_hash = v.parent_hash
), child AS (
    INSERT INTO refresh_tokens (token_hash, session_id, user_id, parent_hash, metadata, metadata_key_id)
    SELECT $2, v.session_id, v.user_id, v.token_hash, $7, $8
      FROM verdict v
     WHERE v.word = 'rotated'
), prolonged AS (
    UPDATE user_sessions s
       SET last_seen_at = now(), idle_expires_at = least(now() + $6::interval, s.expires_at)
      FROM verdict v
     WHERE v.word = 'rotated'
       AND s.session_id = v.session_id
), ended AS (
    UPDATE user_sessions s
       SET revoked_at = now(), revoked_reason = 'refresh_reuse'
      FROM verdict v
     WHERE v.word = 'reused'
       AND s.session_id = v.session_id
)
SELECT word, session_id, user_id, successor, successor_key_id
  FROM verdict;
