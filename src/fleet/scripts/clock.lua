-- The server's time in milliseconds. Only it orders answers: no replica's clock matters.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
