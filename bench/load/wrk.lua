-- Sends the requests of a file in turn, and says what came of it as numbers, one a line.
--
-- wrk -s wrk.lua URL -- FILE        the requests, with a NUL byte between them
-- says  operations, microseconds, failures, then 1000 latencies in microseconds, distributed as all of them are
local requests, turn = {}, 0

function init(arguments)
  for request in io.open(arguments[1], 'rb'):read('*a'):gmatch('[^%z]+') do
    requests[#requests + 1] = request
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end

function done(summary, latency)
  local errors = summary.errors
  print('numbers')
  print(summary.requests)
  print(summary.duration)
  print(errors.connect + errors.read + errors.write + errors.timeout + errors.status)
  for place = 0, 999 do
    print(latency:percentile((place + 0.5) / 10))
  end
end
