-- Begins a fetch of a face: answers with the fleet's entry, or gives the right to ask the vendor.
-- KEYS: account, entry, lease, forgotten. ARGV: member of forgotten, known version, token, milliseconds of the lease,
-- whether a call may be taken, background, refresh, limits, format of entries.
local known = tonumber(ARGV[2])
-- 1. A forgotten face is not asked for.
local forgotten = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[1]) or 0)
if forgotten > now then
  return { 'forgotten', now, forgotten - now }
end
-- 2. A newer entry is the answer, unless all of the account's were purged after it. A version without an entry is the
--    mark of a removed one. An entry of another format is read by replicas of another version alone.
local entry = redis.call('GET', KEYS[2])
local version = entry and tonumber(string.sub(entry, 1, 14), 16) or 0
local purged = tonumber(redis.call('HGET', KEYS[1], 'purged') or 0)
local format = entry and string.match(string.sub(entry, 15, 40), '^{"format":(%d+),')
local is_foreign = entry and #entry > 14 and version > purged and format ~= ARGV[9]
if version > known and version > purged and #entry > 14 and not is_foreign then
  return { 'entry', now, version, string.sub(entry, 15) }
end
-- 3. One replica at a time asks the vendor for a face.
local holder = redis.call('GET', KEYS[3])
if holder and holder ~= ARGV[3] then
  return { 'held', now, redis.call('PTTL', KEYS[3]) }
end
-- 4. A pause of the account.
local pause = redis.call('HMGET', KEYS[1], 'paused_until', 'paused_for')
if tonumber(pause[1] or 0) > now then
  return { 'paused', now, pause[1] - now, pause[2] }
end
-- 5. A replica whose own budget has no call only wanted to look.
if ARGV[5] == '0' then
  return { 'no_call', now, 0 }
end
-- 6. The budget. A fetch that has the lease has its call, too: it did not hear of them in time.
if holder ~= ARGV[3] then
  local wait = take(KEYS[1], cjson.decode(ARGV[8]), ARGV[6] == '1', ARGV[7] == '1', 1)
  if wait then
    return { 'over_budget', now, wait[1], wait[2], wait[3] }
  end
end
-- 7. The lease, with the version of the entry or of its removal that the answer will be based on, and whether that may be
--    replaced.
redis.call('SET', KEYS[3], ARGV[3], 'PX', ARGV[4])
return { 'go', now, math.max(version, purged), is_foreign and 1 or 0 }
