-- Takes `count` calls from the budget of the account in the hash `key`, or none. Returns nil if they may be made, or else
-- the milliseconds until each bucket has them: all calls, refreshes, background.
local DAY = 86400000
local function take(key, limits, is_background, with_refresh, count)
  -- 1. The calls that are left, as this server process knows them.
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local names = { 'calls', 'refreshes', 'background' }
  local saved = redis.call('HMGET', key, 'run', 'at', 'day', 'today', unpack(names))
  local is_known = saved[1] == run
  -- 2. Refill. A bucket that another process filled may lack the last calls, so it starts empty. A clock that was set
  --    back refills nothing.
  local elapsed = is_known and math.max(0, now - tonumber(saved[2])) or 0
  local stock = {}
  for i = 1, 3 do
    local before = is_known and tonumber(saved[4 + i]) or 0
    stock[i] = math.min(limits.burst[i], before + elapsed * limits.per_ms[i])
  end
  -- 3. The calls of the day. Those that are not known count as spent up to now, in proportion.
  local day = math.floor(now / DAY)
  local today = tonumber(saved[4] or 0)
  if saved[3] and tonumber(saved[3]) < day then
    today = 0
  end
  if not is_known then
    today = math.max(today, math.ceil(limits.daily * (now % DAY) / DAY))
  end
  -- 4. Whether each bucket has what the calls take from it.
  local needs = { count, with_refresh and count or 0, is_background and count or 0 }
  local wait, is_refused = { 0, 0, 0 }, false
  for i = 1, 3 do
    if stock[i] < needs[i] then
      wait[i] = math.ceil((needs[i] - stock[i]) / limits.per_ms[i])
      is_refused = true
    end
  end
  if count > 0 and limits.daily > 0 and today + count > limits.daily then
    wait[1] = math.max(wait[1], (day + 1) * DAY - now)
    is_refused = true
  end
  -- 5. Take them, and store the calls that are left.
  if not is_refused then
    today = today + count
    for i = 1, 3 do
      stock[i] = stock[i] - needs[i]
    end
  end
  redis.call('HSET', key, 'run', run, 'at', now, 'day', day, 'today', today)
  for i = 1, 3 do
    redis.call('HSET', key, names[i], string.format('%.9f', stock[i]))
  end
  return is_refused and wait or nil
end
-- Gives calls back that were taken and not made. A bucket that this server process does not know has none of them.
local function refund(key, limits, is_background, with_refresh, count)
  local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local names = { 'calls', 'refreshes', 'background' }
  local saved = redis.call('HMGET', key, 'run', 'today', unpack(names))
  if saved[1] ~= run then
    return
  end
  local returned = { count, with_refresh and count or 0, is_background and count or 0 }
  for i = 1, 3 do
    local stock = math.min(limits.burst[i], tonumber(saved[2 + i]) + returned[i])
    redis.call('HSET', key, names[i], string.format('%.9f', stock))
  end
  -- Shortly after midnight, the call may be one of the day before.
  if now % DAY > 600000 then
    redis.call('HSET', key, 'today', math.max(0, tonumber(saved[2]) - count))
  end
end
