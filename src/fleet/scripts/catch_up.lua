-- Finds the place from which a replica reads the log of an account, and whether it has missed changes.
-- KEYS: account, log, readers. ARGV: replica, its position, or nothing if only Redis knows it, and since when positions
-- are noted, as far as the replica knows.
-- 1. The position: the replica's own, or the one that it has noted last.
local noted = redis.call('HGET', KEYS[3], ARGV[1])
local position, flag, seen = string.match(noted or '', '^(%d+%-%d+) (%d) (%d+)$')
-- A process that ended during a comparison with Redis has to begin it again.
local has_compared = ARGV[2] ~= '' or flag ~= '2'
if ARGV[2] ~= '' then
  position = ARGV[2]
end
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)
local newest = last[1] and last[1][1] or '0-0'
-- 2. Nothing was missed if the change at the position is still there, or if there was none and none was cut off.
local is_whole = false
if position == '0-0' then
  -- A log that does not exist has lost nothing; else as many changes are there as ever were.
  local info, counts = redis.pcall('XINFO', 'STREAM', KEYS[2]), {}
  for i = 1, #info, 2 do
    counts[info[i]] = info[i + 1]
  end
  is_whole = info['err'] ~= nil or counts['length'] == counts['entries-added']
elseif position then
  is_whole = #redis.call('XRANGE', KEYS[2], position, position) == 1
end
-- Another time means that Redis was flushed.
local since = redis.call('HGET', KEYS[1], 'noted_since') or string.format('%.0f', now)
is_whole = is_whole and has_compared and (ARGV[3] == '0' or ARGV[3] == since)
-- 3. The last purge of all faces and the last lift of a pause, and whether they are later than what the replica has heard
--    of; a pause.
local state = redis.call('HMGET', KEYS[1], 'purged', 'purge_mode', 'paused_until', 'paused_for', 'lifted')
local purged = tonumber(state[1] or 0)
local has_later_purge = purged > tonumber(seen or 0)
local paused_for = math.max(0, tonumber(state[3] or 0) - now)
local lift_millis, lift_number, lifted_at = string.match(state[5] or '', '^(%d+)%-(%d+) (%d+)$')
local millis, number = string.match(position or '', '^(%d+)%-(%d+)$')
local has_later_lift = lift_millis and millis and (tonumber(lift_millis) > tonumber(millis)
  or lift_millis == millis and tonumber(lift_number) > tonumber(number))
if not is_whole then
  position = newest
end
-- 4. Siblings are to know who reads the log, and that nothing is applied yet if changes were missed.
--    A purge that was missed counts as heard of when it is applied.
redis.call('HSET', KEYS[1], 'noted_since', since)
redis.call('HSET', KEYS[3], ARGV[1], (is_whole and position or '0-0') .. (is_whole and ' 1 ' or ' 2 ') .. string.format('%.0f', tonumber(seen or (is_whole and purged) or 0)))
return { is_whole and 'whole' or 'gap', now, position, has_later_purge and 1 or 0, state[2] or '', paused_for, state[4] or '', purged, since, has_later_lift and tonumber(lifted_at) or 0 }
