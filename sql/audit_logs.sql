-- name: insert_entries :exec
-- params: retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id, request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id
-- Each parameter is a column, as an array: one statement for many rows costs half of as many statements.
INSERT INTO audit_logs (retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id,
                        session_id, request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id)
SELECT n.retention, n.occurred_at, n.id, n.action, n.outcome, n.reason, n.severity, n.actor_type, n.actor_id, n.user_id,
       n.session_id, n.request_id, n.subject_index, n.details, n.details_key_id, n.entry_hash, n.entry_hash_key_id
  FROM unnest($1::text[], $2::timestamptz[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
              $9::text[], $10::uuid[], $11::uuid[], $12::text[], $13::bytea[], $14::text[], $15::text[], $16::bytea[],
              $17::text[])
    AS n (retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
          request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id);

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
