-- name: insert_entry :exec
-- params: retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id, request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id
INSERT INTO audit_logs (retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id,
                        session_id, request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17);

-- name: make_partitions :value
-- How many were made; the function has rights that the caller has not.
SELECT make_audit_partitions();

-- name: drop_expired_partition :one
-- The function decides by itself whether there is one that may go.
SELECT retention, month, entries
  FROM drop_expired_audit_partition();

-- name: get_retention_days :value
-- How long the schema's owner lets entries be kept.
SELECT days
  FROM audit_retention
 WHERE retention = 'long';

-- name: uses_key :value
-- params: key_id
SELECT EXISTS (SELECT FROM audit_logs WHERE details_key_id = $1);
