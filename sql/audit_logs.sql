-- name: insert_entries :exec
-- params: entries
-- `entries` is an array of JSON objects, one for each row: one statement for many rows costs half of as many statements.
INSERT INTO audit_logs (retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id,
                        session_id, request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id)
SELECT n.retention, n.occurred_at, n.id, n.action, n.outcome, n.reason, n.severity, n.actor_type, n.actor_id, n.user_id,
       n.session_id, n.request_id, decode(n.subject_index, 'base64'), n.details, n.details_key_id,
       decode(n.entry_hash, 'base64'), n.entry_hash_key_id
  FROM json_to_recordset($1::json)
    AS n (retention text, occurred_at timestamptz, id uuid, action text, outcome text, reason text, severity text,
          actor_type text, actor_id text, user_id uuid, session_id uuid, request_id text, subject_index text,
          details text, details_key_id text, entry_hash text, entry_hash_key_id text);

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
