-- How a subject of `sliding_window.lua` stands; nothing is recorded and nothing removed.
--
-- KEYS[1]  hits of one subject        ARGV[1]  limit, hits        ARGV[2]  window, microseconds
-- returns  {hits counted, microseconds until a hit is admitted, microseconds until the oldest counted hit leaves}
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])

local counted = redis.call('ZRANGEBYSCORE', KEYS[1], string.format('(%.0f', now - window), '+inf', 'WITHSCORES')
local hits = #counted / 2

local function leaves(position)
  return counted[2 * position + 2] + window - now
end

return {hits, hits >= limit and leaves(hits - limit) or 0, hits > 0 and leaves(0) or 0}
