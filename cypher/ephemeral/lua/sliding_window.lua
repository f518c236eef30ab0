-- Exact sliding windows: at most `limit` hits in any `window`, for many subjects of one limit in one step.
--
-- KEYS[2n-1]  hits of subject n: list in the order they came, each 16 digits of microseconds and the hit's name
-- KEYS[2n]    stands for a window after a refusal of subject n
-- ARGV[1]     limit, hits        ARGV[2]  window, microseconds        ARGV[3]  bytes of a name
-- ARGV[3+n]   names of its hits, never used before, joined: they are taken as if they came one after the other
-- returns     for each subject four numbers: hits counted before, microseconds until a hit is admitted once these are
--             counted, microseconds until the oldest counted hit leaves, 1 first refusal in a window | 0
--
-- Of the hits asked for, as many are admitted as there was room for, the first ones. Time is the server's, so that
-- instances with wrong clocks agree; should it be set back, the list still has its order, and the last to come leaves
-- last. A refused hit is not recorded: whoever keeps knocking does not prolong the owner's wait.
--
-- A list, because a sorted set takes twice as long, and commands that answer, because each further one costs 0.6 µs.
local call = redis.call
local limit, window, size = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lifetime = math.ceil(window / 1000)
local clock = call('TIME')
local now = clock[1] * 1000000 + clock[2]
local stamp = string.format('%016.0f', now)

-- Microseconds until a hit leaves the window.
local function left(key, position)
  return tonumber(string.sub(call('LINDEX', key, position), 1, 16)) + window - now
end

-- Removes what has left: the first is known to have, and mostly few others.
local function trim(key, length)
  local below, above = 0, 1
  while above < length and left(key, above) <= 0 do
    below, above = above, math.min(2 * above, length)
  end
  while above - below > 1 do
    local middle = math.floor((below + above) / 2)
    if left(key, middle) <= 0 then below = middle else above = middle end
  end
  call('LTRIM', key, above, -1)
  return length - above
end

local function record(key, names, count)
  if count == 1 then
    -- By far the most; without a table it takes 1 µs less.
    call('RPUSH', key, stamp .. string.sub(names, 1, size))
  else
    local hits = {}
    for hit = 1, count do
      hits[hit] = stamp .. string.sub(names, (hit - 1) * size + 1, hit * size)
    end
    call('RPUSH', key, unpack(hits))
  end
  call('PEXPIRE', key, lifetime)
end

local answers = {}
for subject = 1, #KEYS / 2 do
  local key, names = KEYS[2 * subject - 1], ARGV[3 + subject]
  local asked, before = #names / size, call('LLEN', key)
  local reset = before > 0 and left(key, 0) or window
  if reset <= 0 then
    before = trim(key, before)
    reset = before > 0 and left(key, 0) or window
  end

  local admitted = math.min(asked, math.max(limit - before, 0))
  if admitted > 0 then
    record(key, names, admitted)
  end

  -- The wait is over when all but `limit - 1` have left; with a limit that was lowered meanwhile more than one must.
  local wait, hits = 0, before + admitted
  if hits >= limit then
    wait = hits == limit and reset or left(key, hits - limit)
  end
  local first = 0
  if admitted < asked and call('SET', KEYS[2 * subject], '', 'PX', lifetime, 'NX') then
    first = 1
  end

  local at = 4 * subject
  answers[at - 3], answers[at - 2], answers[at - 1], answers[at] = before, wait, reset, first
end
return answers
