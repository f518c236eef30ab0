-- Forgets single hits of `sliding_window.lua`.
--
-- KEYS[n]    hits of a subject        ARGV[n]  name of one of its hits
-- returns    how many were there
--
-- The time before a name is not known to whoever got no answer. Hits that are taken back have just come: they are looked
-- for from the end.
local call = redis.call
local CHUNK, STAMP = 16, 16

local function find(key, name)
  local stop = call('LLEN', key) - 1
  while stop >= 0 do
    local start = math.max(stop - CHUNK + 1, 0)
    local hits = call('LRANGE', key, start, stop)
    for place = #hits, 1, -1 do
      if string.sub(hits[place], STAMP + 1) == name then
        return hits[place]
      end
    end
    stop = start - 1
  end
end

local found = 0
for subject = 1, #KEYS do
  local key = KEYS[subject]
  local hit = find(key, ARGV[subject])
  if hit then
    found = found + call('LREM', key, -1, hit)
  end
end
return found
