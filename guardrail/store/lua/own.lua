-- A prefix belongs to the conversation that has had it. A second one with the same: it is nobody's, and stays so.
-- KEYS: the prefix. ARGV: the conversation (empty: nobody's), seconds until it is forgotten. Gives whose it is.

local known = redis.call('GET', KEYS[1])
local owner = ARGV[1]
if known and known ~= owner then owner = '' end
redis.call('SET', KEYS[1], owner, 'EX', ARGV[2])
return owner
