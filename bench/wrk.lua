-- One request shape per run, and the totals as one line that a program can read.
-- Arguments after `--`: the method, the body's length in bytes, `close` or `keep`.

function init(args)
  wrk.method = args[1]
  local length = tonumber(args[2])
  if length > 0 then wrk.body = string.rep("x", length) end
  if args[3] == "close" then wrk.headers["Connection"] = "close" end
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    "RESULT requests=%d microseconds=%d p50=%d p99=%d socket_errors=%d bad_status=%d\n",
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.timeout, e.status))
end
