-- name: ping :value
-- Whether the server takes changes: one that is a standby, or read-only by a setting, answers and is of no use.
SELECT NOT current_setting('transaction_read_only')::boolean AS takes_changes;

-- name: has_limits :value
-- Whether this connection has the time-outs that it was to begin with: both are 0 where nobody has set them.
SELECT count(*) = 2
  FROM pg_settings
 WHERE name IN ('statement_timeout', 'lock_timeout')
   AND source = 'client';
