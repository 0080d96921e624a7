-- Stores an entry, if it is based on the stored version.
-- KEYS: account, entry, lease, forgotten, log, picture. ARGV: member of forgotten, base version, token, entry,
-- milliseconds to keep it, digest of the picture if it lies in Redis, replica, format of entries, how the answer
-- counts for the detector of soft throttling.
local base = tonumber(ARGV[2])
-- 1. A face that was forgotten meanwhile stays forgotten.
local forgotten = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[1]) or 0)
if forgotten > now then
  return { 'forgotten', now, forgotten - now }
end
-- 2. Another version is to be taken into account first. None (flushed, expired, removed, purged) is no conflict. An
--    entry of another format stays.
local entry = redis.call('GET', KEYS[2])
local version = entry and tonumber(string.sub(entry, 1, 14), 16) or 0
local purged = tonumber(redis.call('HGET', KEYS[1], 'purged') or 0)
if version > purged and #entry > 14 then
  if string.match(string.sub(entry, 15, 40), '^{"format":(%d+),') ~= ARGV[8] then
    return { 'foreign', now, 0 }
  end
  if version ~= base then
    return { 'conflict', now, version, string.sub(entry, 15) }
  end
end
-- 3. The picture lasts as long as the entry.
local is_missing = 0
if ARGV[6] == '' then
  redis.call('DEL', KEYS[6])
elseif redis.call('GETRANGE', KEYS[6], 0, 31) == ARGV[6] then
  redis.call('PEXPIRE', KEYS[6], ARGV[5])
else
  is_missing = 1
end
-- 4. The entry, with a version above every earlier one.
local next = math.max(4 * now, version + 1, base + 1, purged + 1)
redis.call('SET', KEYS[2], string.format('%014x', next) .. ARGV[4], 'PX', ARGV[5])
-- 5. The lease ends.
if redis.call('GET', KEYS[3]) == ARGV[3] then
  redis.call('DEL', KEYS[3])
end
-- 6. The siblings hear of it.
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 20000, '*', 'kind', 'commit', 'face', ARGV[1], 'value', next, 'text', ARGV[9], 'from', ARGV[7])
return { 'stored', now, next, is_missing }
