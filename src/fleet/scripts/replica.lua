-- Renews the membership of a replica. KEYS: fleet, numbers, heartbeats. ARGV: replica, most replicas, milliseconds
-- until its number may go to another, fingerprint of the secret, `join`, `stay` or `leave`, percent of the reserve.
-- 1. All replicas have the same secret, or they would not know each other's faces.
if redis.call('HSETNX', KEYS[1], 'secret', ARGV[4]) == 0 and redis.call('HGET', KEYS[1], 'secret') ~= ARGV[4] then
  return { 'other_secret', now, 0, 0 }
end
--    Their first renewal tells that heartbeats may be missing, because Redis was flushed.
redis.call('HSETNX', KEYS[1], 'since', now)
-- 2. The other live replicas: those with a heartbeat in the last half minute, and those of them that fit to the division
--    of the budgets.
local others, fitting, was_here = 0, 0, false
local beats = redis.call('HGETALL', KEYS[3])
for i = 1, #beats, 2 do
  if now - beats[i + 1] >= 30000 then
    redis.call('HDEL', KEYS[3], beats[i])
    redis.call('HDEL', KEYS[1], 'misfit:' .. beats[i])
  elseif beats[i] == ARGV[1] then
    was_here = true
  else
    others = others + 1
    if not redis.call('HGET', KEYS[1], 'misfit:' .. beats[i]) then
      fitting = fitting + 1
    end
  end
end
-- 3. A replica that leaves gives its number back.
local number = 0
local free = 0
for i = 1, tonumber(ARGV[2]) do
  local holder = redis.call('HGET', KEYS[2], i)
  local id, until_ms = string.match(holder or '', '^(.-) (%d+)$')
  if id == ARGV[1] then
    number = i
  elseif free == 0 and (not id or tonumber(until_ms) <= now) then
    free = i
  end
end
if ARGV[5] == 'leave' then
  redis.call('HDEL', KEYS[2], number)
  redis.call('HDEL', KEYS[1], 'misfit:' .. ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
  return { 'left', now, 0, 0 }
end
-- 4. All divide the budgets in the same way, or the shares would be more than the whole. One that serves already stays a
--    live one, without a number: siblings have to wait for it when they forget a face.
local division = ARGV[2] .. ' replicas, reserve ' .. ARGV[6]
local other = redis.call('HGET', KEYS[1], 'division')
if fitting > 0 and other and other ~= division then
  if ARGV[5] == 'stay' then
    redis.call('HSET', KEYS[3], ARGV[1], now)
    redis.call('HSET', KEYS[1], 'misfit:' .. ARGV[1], now)
  end
  return { 'other_division', now, 0, others, other }
end
redis.call('HDEL', KEYS[1], 'misfit:' .. ARGV[1])
redis.call('HSET', KEYS[1], 'division', division)
-- 5. No more replicas start than there are shares. One that serves already stays, because it would serve in any case.
if ARGV[5] == 'join' and not was_here and others >= tonumber(ARGV[2]) then
  return { 'full', now, 0, others }
end
-- 6. Lease a number that no replica has, or had lately.
if number == 0 then
  number = free
end
if number > 0 then
  redis.call('HSET', KEYS[2], number, ARGV[1] .. ' ' .. string.format('%.0f', now + ARGV[3]))
end
redis.call('HSET', KEYS[3], ARGV[1], now)
return { 'member', now, number, others + 1, redis.call('HGET', KEYS[1], 'since') }
