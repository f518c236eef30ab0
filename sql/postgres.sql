-- name: ping :value
-- Answers 1: the server is there and takes statements.
SELECT 1;

-- name: has_limits :value
-- Whether this connection has the time-outs that it was to begin with: both are 0 where nobody has set them.
SELECT count(*) = 2
  FROM pg_settings
 WHERE name IN ('statement_timeout', 'lock_timeout')
   AND source = 'client';
