-- name: get_sealed_user :one
-- params: user_id
-- A person's row as it lies on the disk: what `cypher demo` shows beside what the person sees.
SELECT username, username_key_id, username_index, opaque_record, opaque_record_key_id
  FROM users
 WHERE id = $1;

-- name: get_sealed_session :one
-- params: session_id
-- A session's row as it lies on the disk, with the newest refresh token of its family.
SELECT s.session_data, s.session_data_key_id, s.ip_address, s.ip_address_key_id, t.token_hash
  FROM user_sessions s
  JOIN refresh_tokens t USING (session_id)
 WHERE s.session_id = $1
 ORDER BY t.consumed_at DESC NULLS FIRST
 LIMIT 1;
