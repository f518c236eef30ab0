-- Reading the audit trail: newest first for people, by id for whoever checks it.

-- name: list_newest :many
-- params: before, before_id, since, most
-- A page of the trail: what comes next, going back, after an entry with this time and id.
SELECT retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
       request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id, xid::text AS xid
  FROM audit_logs
 WHERE occurred_at <= $1
   AND (occurred_at, id) < ($1, $2::uuid)
   AND occurred_at >= $3
 ORDER BY occurred_at DESC, id DESC
 LIMIT $4;

-- name: list_newest_of_action :many
-- params: before, before_id, since, most, action
SELECT retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
       request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id, xid::text AS xid
  FROM audit_logs
 WHERE action = $5
   AND occurred_at <= $1
   AND (occurred_at, id) < ($1, $2::uuid)
   AND occurred_at >= $3
 ORDER BY occurred_at DESC, id DESC
 LIMIT $4;

-- name: list_newest_of_user :many
-- params: before, before_id, since, most, user_id, action
-- Of one action only, unless that is NULL.
SELECT retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
       request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id, xid::text AS xid
  FROM audit_logs
 WHERE user_id = $5
   AND occurred_at <= $1
   AND (occurred_at, id) < ($1, $2::uuid)
   AND occurred_at >= $3
   AND ($6::text IS NULL OR action = $6)
 ORDER BY occurred_at DESC, id DESC
 LIMIT $4;

-- name: list_newest_of_subject :many
-- params: before, before_id, since, most, subject_indexes, action
-- A name that nobody has, or had at the time, under every index key.
SELECT retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
       request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id, xid::text AS xid
  FROM audit_logs
 WHERE subject_index = ANY($5::bytea[])
   AND occurred_at <= $1
   AND (occurred_at, id) < ($1, $2::uuid)
   AND occurred_at >= $3
   AND ($6::text IS NULL OR action = $6)
 ORDER BY occurred_at DESC, id DESC
 LIMIT $4;

-- name: list_of_ids :many
-- params: ids, since, until
-- The times are those in the ids: by them the index finds the rows, and whole months are left aside.
SELECT retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
       request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id, xid::text AS xid
  FROM audit_logs
 WHERE id = ANY($1::uuid[])
   AND occurred_at >= $2
   AND occurred_at < $3;

-- name: list_unsealed :many
-- params: after, after_id, most
-- Entries without a leaf, from the oldest on.
SELECT retention, occurred_at, id, action, outcome, reason, severity, actor_type, actor_id, user_id, session_id,
       request_id, subject_index, details, details_key_id, entry_hash, entry_hash_key_id, xid::text AS xid
  FROM audit_logs AS e
 WHERE occurred_at >= $1
   AND (occurred_at, id) > ($1, $2::uuid)
   AND NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.entry_id = e.id)
 ORDER BY occurred_at, id
 LIMIT $3;

-- name: find_impostor :value
-- An id that stands there twice, or more than a second from the time that it says itself (RFC 9562, section 5.7).
SELECT id
  FROM audit_logs
 GROUP BY id
HAVING count(*) > 1
    OR bool_or(abs(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint
                   - extract(epoch FROM occurred_at) * 1000) > 1000)
 LIMIT 1;

-- name: list_months :many
-- The months of each class that there are, as 2026_11.
SELECT split_part(p.relname, '_', 3) AS retention, right(c.relname, 7) AS month
  FROM pg_inherits AS i
  JOIN pg_class AS c ON c.oid = i.inhrelid
  JOIN pg_class AS p ON p.oid = i.inhparent
 WHERE p.relname IN ('audit_logs_long', 'audit_logs_short')
   AND c.relname ~ '_[0-9]{4}_[0-9]{2}$';
