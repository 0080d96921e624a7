-- Sends requests for the paths in the file that URLS names, in a circle.
local requests, at = {}, 0

function init(args)
    local headers = {}
    local etag = os.getenv("IF_NONE_MATCH")
    if etag then headers["If-None-Match"] = etag end
    for path in io.lines(os.getenv("URLS")) do
        requests[#requests + 1] = wrk.format("GET", path, headers)
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency)
    local wrong = summary.errors.status + summary.errors.read + summary.errors.timeout
    io.write(string.format("RESULT %d %d %d %d %d\n", summary.requests, summary.duration,
        wrong, latency:percentile(50), latency:percentile(99)))
end
