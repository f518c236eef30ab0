-- name: try_sealing :value
-- Held to the end of the transaction by the one instance that seals.
SELECT pg_try_advisory_xact_lock(hashtextextended('cypher.audit_sealing', 0));

-- name: get_last_seal :one
-- And whether this server counts transactions from a lower number than the seal knows: it is another one, and the
-- entries were brought to it.
SELECT seal_no, through_xid::text AS through_xid, count, root, previous, sealed_at, signature, signing_key_id,
       pg_snapshot_xmax(pg_current_snapshot()) <= through_xid AS counts_anew
  FROM audit_seals
 ORDER BY seal_no DESC
 LIMIT 1;

-- name: list_settled :many
-- params: through_xid, most
-- What was written by transactions after `through_xid` of which none can commit any more: about `most` entries, and never
-- a part of what one transaction wrote. One that is still open holds back all that came after it, and is not skipped.
WITH horizon AS MATERIALIZED (
  SELECT pg_snapshot_xmin(pg_current_snapshot()) AS xmin
), batch AS MATERIALIZED (
  SELECT max(xid) AS last
    FROM (SELECT e.xid
            FROM audit_logs AS e, horizon
           WHERE e.xid > $1::text::xid8
             AND e.xid < horizon.xmin
             AND NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.entry_id = e.id)
           ORDER BY e.xid
           LIMIT $2) AS first_ones
)
SELECT e.xid::text AS xid, e.retention, e.id AS entry_id, e.entry_hash AS hash
  FROM audit_logs AS e, batch
 WHERE e.xid > $1::text::xid8
   AND e.xid <= batch.last
   AND NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.entry_id = e.id)
 ORDER BY e.xid, e.occurred_at, e.id;

-- name: list_brought :many
-- On a server that counts anew: all without a leaf, whether they were written elsewhere or here. `xid` is the last
-- transaction that is settled here, the same in each row.
SELECT (SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric - 1)::text) AS xid, e.retention,
       e.id AS entry_id, e.entry_hash AS hash
  FROM audit_logs AS e
 WHERE (e.xid < pg_snapshot_xmin(pg_current_snapshot()) OR e.xid >= pg_snapshot_xmax(pg_current_snapshot()))
   AND NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.entry_id = e.id)
 ORDER BY e.xid, e.occurred_at, e.id;

-- name: insert_seal :exec
-- params: seal_no, through_xid, count, root, previous, sealed_at, signature, signing_key_id
INSERT INTO audit_seals (seal_no, through_xid, count, root, previous, sealed_at, signature, signing_key_id)
VALUES ($1, $2::text::xid8, $3, $4, $5, $6, $7, $8);

-- name: insert_leaves :exec
-- params: seal_no, retentions, entry_ids, entry_hashes
INSERT INTO audit_leaves (seal_no, position, retention, entry_id, entry_hash)
SELECT $1, n.number - 1, n.retention, n.entry_id, n.entry_hash
  FROM unnest($2::text[], $3::uuid[], $4::bytea[]) WITH ORDINALITY AS n (retention, entry_id, entry_hash, number);

-- name: list_seals :many
-- params: after, most
SELECT seal_no, through_xid::text AS through_xid, count, root, previous, sealed_at, signature, signing_key_id
  FROM audit_seals
 WHERE seal_no > $1
 ORDER BY seal_no
 LIMIT $2;

-- name: list_leaves :many
-- params: first_no, last_no
SELECT seal_no, position, retention, entry_id, entry_hash AS hash
  FROM audit_leaves
 WHERE seal_no BETWEEN $1 AND $2
 ORDER BY seal_no, position;

-- name: count_leaves :value
SELECT coalesce(sum(count), 0)::bigint
  FROM audit_seals;

-- name: get_lag :one
-- What is not sealed yet, and since when: a transaction that stays open holds it back.
SELECT count(*) AS entries, min(occurred_at) AS oldest
  FROM audit_logs AS e
 WHERE e.xid > coalesce((SELECT through_xid FROM audit_seals ORDER BY seal_no DESC LIMIT 1), '0'::xid8)
   AND NOT EXISTS (SELECT FROM audit_leaves AS l WHERE l.entry_id = e.id);
