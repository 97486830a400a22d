-- What became of a notice. ARGV: its id, its state now, when it is due again.

local found = notice(ARGV[1])
if not found.state then return 0 end
if ARGV[2] == 'sent' then
  unfile(found)
  redis.call('HSET', key('notice:' .. found.id), 'state', 'sent', 'until', '0')
elseif found.state == 'waiting' then
  unfile(found)
  redis.call('HSET', key('notice:' .. found.id), 'state', ARGV[2], 'due', ARGV[3], 'until', '0')
  if ARGV[2] == 'waiting' then
    file(found.id, found.priority, ARGV[3])
  elseif not redis.call('ZSCORE', key('in:resolved'), found.case) then
    redis.call('SADD', key('dead'), found.id)
  end
end
return 1
