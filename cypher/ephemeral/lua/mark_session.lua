-- Replaces a session's document by the marker `e`, so that it is read from PostgreSQL anew.
--
-- KEYS[1]  session: sealed document, `x` (revoked), `e` (marker) or nothing
-- ARGV[1]  milliseconds the marker lives
-- returns  1 marked | 0 a tombstone stands
--
-- A revoked session stays revoked: without the look, ending one token of a session would bring the session back for
-- whoever still holds an older document in hand. While the marker stands, a fill (SET NX) stores nothing.
if redis.call('GET', KEYS[1]) == 'x' then
  return 0
end

redis.call('SET', KEYS[1], 'e', 'PX', ARGV[1])
return 1
