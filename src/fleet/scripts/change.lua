-- A change beside a fetch, which the siblings hear of.
-- KEYS: account, entry, lease, forgotten, log, picture, lids. ARGV: kind, member of forgotten, value, text, replica,
-- milliseconds to keep the mark of a removed entry.
local kind, value = ARGV[1], ARGV[3]
if kind == 'forget' then
  -- The face is gone now, and not asked for before `value` milliseconds have passed.
  local before = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[2]) or 0)
  value = math.max(now + value, before)
  redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
  redis.call('ZADD', KEYS[4], value, ARGV[2])
  redis.call('DEL', KEYS[2], KEYS[3], KEYS[6])
  redis.call('HDEL', KEYS[7], ARGV[2])
  if before > now and value - before < 5000 then
    -- It was forgotten for that long already, so the siblings have nothing to hear but the changes up to now.
    local last = redis.call('XREVRANGE', KEYS[5], '+', '-', 'COUNT', 1)
    return { 'unchanged', now, value, last[1] and last[1][1] or '0-0' }
  end
elseif kind == 'remove' then
  -- The mark tells a replica that missed the change that its own entry is an earlier one.
  local entry = redis.call('GET', KEYS[2])
  local version = entry and tonumber(string.sub(entry, 1, 14), 16) or 0
  value = math.max(4 * now, version + 1)
  redis.call('SET', KEYS[2], string.format('%014x', value), 'PX', ARGV[6])
  redis.call('DEL', KEYS[6])
elseif kind == 'purge' then
  -- Every entry up to now counts as none, also those of this millisecond.
  value = 4 * now + 3
  redis.call('HSET', KEYS[1], 'purged', value, 'purge_mode', ARGV[4])
elseif kind == 'pause' then
  -- A pause only moves forward.
  value = math.max(now + value, tonumber(redis.call('HGET', KEYS[1], 'paused_until') or 0))
  redis.call('HSET', KEYS[1], 'paused_until', value, 'paused_for', ARGV[4], 'paused_at', now)
elseif kind == 'lift' then
  -- `value` is when the pause was lifted. If that comes late, it ends no pause that began since. Whatever a server with
  -- another clock said, the pause has begun by now.
  local began = math.min(tonumber(redis.call('HGET', KEYS[1], 'paused_at') or 0), now)
  if began > tonumber(value) then
    return { 'unchanged', now, 0 }
  end
  redis.call('HDEL', KEYS[1], 'paused_until', 'paused_for', 'paused_at')
elseif kind == 'lid' then
  -- The number behind a LID, sealed. Of too many, any one leaves: gateways can be asked again.
  redis.call('HSET', KEYS[7], ARGV[2], ARGV[4])
  if redis.call('HLEN', KEYS[7]) > 20000 then
    redis.call('HDEL', KEYS[7], redis.call('HRANDFIELD', KEYS[7]))
  end
elseif kind == 'release' then
  -- Only the holder releases a lease; `text` is its token.
  if redis.call('GET', KEYS[3]) ~= ARGV[4] then
    return { 'unchanged', now, 0 }
  end
  redis.call('DEL', KEYS[3])
end
local id = redis.call('XADD', KEYS[5], 'MAXLEN', '~', 20000, '*', 'kind', kind, 'face', ARGV[2], 'value', value, 'text', ARGV[4], 'from', ARGV[5])
if kind == 'lift' then
  -- For the replicas that miss it in the log: its place there, and when the pause was lifted.
  redis.call('HSET', KEYS[1], 'lifted', id .. ' ' .. value)
end
return { 'changed', now, value, id }
