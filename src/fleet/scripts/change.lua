-- A change beside a fetch, which the siblings hear of.
-- KEYS: account, entry, lease, forgotten, log, picture. ARGV: kind, member of forgotten, value, text, replica.
local kind, value = ARGV[1], ARGV[3]
if kind == 'forget' then
  -- The face is gone now, and not asked for before `value` milliseconds have passed.
  value = now + value
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
  redis.call('ZADD', KEYS[4], value, ARGV[2])
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[6])
elseif kind == 'remove' then
  redis.call('DEL', KEYS[2], KEYS[6])
elseif kind == 'purge' then
  -- Every entry up to now counts as none, also those of this millisecond.
  redis.call('HSET', KEYS[1], 'purged', 4 * now + 3)
elseif kind == 'pause' then
  -- A pause only moves forward.
  value = math.max(now + value, tonumber(redis.call('HGET', KEYS[1], 'paused_until') or 0))
  redis.call('HSET', KEYS[1], 'paused_until', value, 'paused_for', ARGV[4])
elseif kind == 'lift' then
  redis.call('HDEL', KEYS[1], 'paused_until', 'paused_for')
elseif kind == 'release' then
  -- Only the holder releases a lease; `text` is its token.
  if redis.call('GET', KEYS[3]) ~= ARGV[4] then
    return { 'unchanged', now, 0 }
  end
  redis.call('DEL', KEYS[3])
end
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 20000, '*', 'kind', kind, 'face', ARGV[2], 'value', value, 'text', ARGV[4], 'from', ARGV[5])
return { 'changed', now, value }
