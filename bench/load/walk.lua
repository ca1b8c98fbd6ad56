-- For wrk: sends the requests of a file in turn, over and over, and prints what came back as one line of JSON.
-- The file holds each request as "<bytes>\n<request>"; every thread would walk the whole file, so wrk is run with one.
local texts, count, at = {}, 0, 0

function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  while true do
    local length = file:read("*n")
    if not length then break end
    file:read(1)
    count = count + 1
    texts[count] = file:read(length)
  end
  file:close()
end

function request()
  at = at + 1
  if at > count then at = 1 end
  return texts[at]
end

-- Statuses above 399 are all that wrk counts without looking into every answer.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"p50Ms":%.3f,"p99Ms":%.3f,"maxMs":%.3f,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    latency.max / 1000, errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
