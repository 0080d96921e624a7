-- Stores an entry and its picture, if it is based on the stored version.
-- KEYS: account, entry, lease, forgotten, log, picture. ARGV: member of forgotten, base version, token, entry,
-- milliseconds to keep it, digest of the picture if it lies in Redis, replica, format of entries, how the answer
-- counts for the detector of soft throttling, version after which a purge is not taken into account, digest and bytes of
-- a new picture.
local base = tonumber(ARGV[2])
-- 1. A face that was forgotten meanwhile stays forgotten.
local forgotten = tonumber(redis.call('ZSCORE', KEYS[4], ARGV[1]) or 0)
if forgotten > now then
  return { 'forgotten', now, forgotten - now }
end
-- 2. Another version is to be taken into account first. None (flushed, expired, purged) is no conflict. An entry of
--    another format stays.
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
else
  -- 3. An entry from before a hard purge does not come back.
  local is_mark = entry and #entry == 14
  local is_hard = redis.call('HGET', KEYS[1], 'purge_mode') == 'hard'
  local removed = math.max(is_mark and version or 0, is_hard and purged or 0)
  if removed > tonumber(ARGV[10]) then
    return { 'removed', now, removed }
  end
end
-- 4. The picture lasts as long as the entry, and no other than the stored entry's is there. If the one that the entry
--    confirms has gone, the replica sends it.
if ARGV[6] == '' then
  redis.call('DEL', KEYS[6])
elseif ARGV[11] ~= '' then
  redis.call('SET', KEYS[6], ARGV[11], 'PX', ARGV[5])
elseif redis.call('GETRANGE', KEYS[6], 0, 31) == ARGV[6] then
  redis.call('PEXPIRE', KEYS[6], ARGV[5])
else
  return { 'picture_missing', now, 0 }
end
-- 5. The entry, with a version above every earlier one.
local next = math.max(4 * now, version + 1, base + 1, purged + 1)
redis.call('SET', KEYS[2], string.format('%014x', next) .. ARGV[4], 'PX', ARGV[5])
-- 6. The lease ends.
if redis.call('GET', KEYS[3]) == ARGV[3] then
  redis.call('DEL', KEYS[3])
end
-- 7. The siblings hear of it.
redis.call('XADD', KEYS[5], 'MAXLEN', '~', 20000, '*', 'kind', 'commit', 'face', ARGV[1], 'value', next, 'text', ARGV[9], 'from', ARGV[7])
return { 'stored', now, next }
