-- Exact sliding window: at most `limit` hits in any `window`, decided and recorded in one step.
--
-- KEYS[1]  hits of one subject: sorted set, score = time of the hit in microseconds
-- KEYS[2]  stands for a window after a refusal of this subject; on the same slot
-- ARGV[1]  limit, hits        ARGV[2]  window, microseconds        ARGV[3]  name of this hit, never used before
-- returns  {1 admitted | 0 refused, hits remaining, microseconds until a hit is admitted,
--           microseconds until the oldest counted hit leaves, 1 first refusal in a window | 0}
--
-- Time is the server's, so that instances with wrong clocks agree. A refused hit is not recorded: whoever keeps
-- knocking does not prolong the owner's wait.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local lifetime = math.ceil(window / 1000)

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
local hits = redis.call('ZCARD', KEYS[1])

local admitted = hits < limit
if admitted then
  redis.call('ZADD', KEYS[1], now, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], lifetime)
  hits = hits + 1
end

-- The wait is over when all but `limit - 1` have left; with a limit that was lowered meanwhile more than one must.
local function leaves(position)
  return redis.call('ZRANGE', KEYS[1], position, position, 'WITHSCORES')[2] + window - now
end
local wait, first = 0, 0
if hits >= limit then
  wait = leaves(hits - limit)
end
if not admitted and redis.call('SET', KEYS[2], '', 'PX', lifetime, 'NX') then
  first = 1
end

return {admitted and 1 or 0, math.max(limit - hits, 0), wait, leaves(0), first}
