-- name: find_secrets :many
-- params: user_ids
-- With a moment at which nothing had been sealed with them: see `end_logins`.
SELECT user_id, secret, secret_key_id, now() AS found_at
  FROM audit_subjects
 WHERE user_id = ANY($1::uuid[]);

-- name: insert_secret :execrows
-- params: user_id, secret, secret_key_id
-- The first to come stays; nobody who is not there has one.
INSERT INTO audit_subjects (user_id, secret, secret_key_id)
SELECT id, $2, $3
  FROM users
 WHERE id = $1
    ON CONFLICT DO NOTHING;

-- name: erase :execrows
-- params: user_id
DELETE FROM audit_subjects
 WHERE user_id = $1;
