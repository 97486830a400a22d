-- Keep a conversation's state if it is still what it was when it was read; else give what it is now.
-- KEYS: the state. ARGV: what it was (empty: nothing), what it is to be, seconds until it is forgotten.

local now = redis.call('GET', KEYS[1])
if (now or '') ~= ARGV[1] then return now or '' end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 0
