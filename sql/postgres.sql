-- name: ping :value
-- Answers 1: the server is there and takes statements.
SELECT 1;
