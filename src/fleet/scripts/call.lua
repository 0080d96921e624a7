-- Takes calls that are about no single face, such as one for a list of chats.
-- KEYS: account. ARGV: background, refresh, limits, how many calls.
-- 1. None: a replica that starts lets the buckets fill from now on.
local limits, count = cjson.decode(ARGV[3]), tonumber(ARGV[4])
if count == 0 then
  take(KEYS[1], limits, false, false, 0)
  return { 'refilled', now, 0 }
end
-- 2. A pause of the account refuses it.
local pause = redis.call('HMGET', KEYS[1], 'paused_until', 'paused_for')
if tonumber(pause[1] or 0) > now then
  return { 'paused', now, pause[1] - now, pause[2] }
end
-- 3. Else the budget decides.
local wait = take(KEYS[1], limits, ARGV[1] == '1', ARGV[2] == '1', count)
if wait then
  return { 'over_budget', now, wait[1], wait[2], wait[3] }
end
return { 'go', now, 0 }
