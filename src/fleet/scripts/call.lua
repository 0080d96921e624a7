-- Takes calls that are about no single face, such as one for a list of chats, or gives one back.
-- KEYS: account. ARGV: background, refresh, limits, how many calls, the whole budget as text, whether that may replace
-- another one.
local limits, count = cjson.decode(ARGV[3]), tonumber(ARGV[4])
-- 1. None: a replica that starts lets the buckets fill from now on. All have the same budget, or the account would have
--    the largest.
if count == 0 then
  local other = redis.call('HGET', KEYS[1], 'budget')
  if other and other ~= ARGV[5] and ARGV[6] == '0' then
    return { 'other_budget', now, 0, other }
  end
  redis.call('HSET', KEYS[1], 'budget', ARGV[5])
  take(KEYS[1], limits, false, false, 0)
  return { 'refilled', now, 0 }
end
-- 2. Less than none: a call that was taken and not made.
if count < 0 then
  refund(KEYS[1], limits, ARGV[1] == '1', ARGV[2] == '1', -count)
  return { 'refunded', now, 0 }
end
-- 3. A pause of the account refuses it.
local pause = redis.call('HMGET', KEYS[1], 'paused_until', 'paused_for')
if tonumber(pause[1] or 0) > now then
  return { 'paused', now, pause[1] - now, pause[2] }
end
-- 4. Else the budget decides.
local wait = take(KEYS[1], limits, ARGV[1] == '1', ARGV[2] == '1', count)
if wait then
  return { 'over_budget', now, wait[1], wait[2], wait[3] }
end
return { 'go', now, 0 }
