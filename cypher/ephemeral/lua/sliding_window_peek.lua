-- How a subject of `sliding_window.lua` stands; nothing is recorded and nothing removed.
--
-- KEYS[1]  hits of one subject        ARGV[1]  limit, hits        ARGV[2]  window, microseconds
-- returns  {hits counted, microseconds until a hit is admitted, microseconds until the oldest counted hit leaves}
local call = redis.call
local key = KEYS[1]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]

local counted = {}
for _, hit in ipairs(call('LRANGE', key, 0, -1)) do
  local left = tonumber(string.sub(hit, 1, 16)) + window - now
  if left > 0 then
    counted[#counted + 1] = left
  end
end

local hits = #counted
return {hits, hits >= limit and counted[hits - limit + 1] or 0, counted[1] or 0}
