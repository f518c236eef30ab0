-- name: ping :value
-- Whether the server takes changes: one that is a standby, or read-only by a setting, answers and is of no use.
SELECT NOT current_setting('transaction_read_only')::boolean AS takes_changes;
