-- Put a case in the place of what it was when it was read, with all that follows from it. 0: it has changed meanwhile.
-- ARGV: what to do (JSON), the case as it was (empty: there was none), the case as it is now.

local a = cjson.decode(ARGV[1])
if (redis.call('GET', key('case:' .. a.id)) or '') ~= ARGV[2] then return 0 end
if a.join ~= '' then
  if redis.call('EXISTS', key('join:' .. a.join)) == 1 then return 0 end
  if (redis.call('GET', key('matter:' .. a.matter)) or '') ~= a.was then return 0 end
  redis.call('SET', key('join:' .. a.join), a.id)
  redis.call('SET', key('matter:' .. a.matter), a.id)
end

redis.call('SET', key('case:' .. a.id), ARGV[3])
redis.call('ZADD', key('opened'), a.opened_at, a.id)
if a.before ~= '' then redis.call('ZREM', key('in:' .. a.before), a.id) end
redis.call('ZADD', key('in:' .. a.after), a.opened_at, a.id)
if a.answered then
  redis.call('ZREM', key('waiting'), a.id)
else
  redis.call('ZADD', key('waiting'), a.since, a.id)
end

for _, found in ipairs(notices(a.id)) do
  local priority = priority_of(found.severity, a.raised)
  if found.state == 'waiting' and priority ~= found.priority then
    unfile(found)
    redis.call('HSET', key('notice:' .. found.id), 'priority', priority)
    file(found.id, priority, found.leased(found.due) and found['until'] or found.due)
  end
end

-- Nobody is paged any more; whoever was, or is being paged right now, learns that somebody has it.
if a.answers then
  local told, heard = {}, {}
  for _, found in ipairs(notices(a.id)) do
    if found.page then
      if found.attempts > 0 and found.state ~= 'dead' and not told[found.channel] then
        told[found.channel] = true
        heard[#heard + 1] = found.channel
      end
      if found.state == 'waiting' then drop(found) end
    end
  end
  if a.notice ~= '' then
    table.sort(heard)
    for _, channel in ipairs(heard) do
      queue(a.id .. ':' .. a.severity .. ':' .. a.notice, a.notice, a.id, channel, a.severity, a.raised, a.at, 'waiting')
    end
  end
end

if a.after == 'resolved' then
  if redis.call('GET', key('matter:' .. a.matter)) == a.id then redis.call('DEL', key('matter:' .. a.matter)) end
  for _, id in ipairs(redis.call('SMEMBERS', key('notices:' .. a.id))) do
    redis.call('SREM', key('dead'), id)
  end
end
return 1
