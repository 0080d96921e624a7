-- Reads entries. KEYS: entries.
-- The times in them are the server's, so its time belongs to the answer.
local entries = redis.call('MGET', unpack(KEYS))
table.insert(entries, 1, now)
table.insert(entries, 1, 'entries')
return entries
