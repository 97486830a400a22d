-- Take due notices, most urgent first, for nobody else until a time. Pages of a case that was answered are dropped.
-- ARGV: now, until, limit, then channels to be left out.

local now, leased_until, limit = ARGV[1], ARGV[2], tonumber(ARGV[3])
local skip = {}
for at = 4, #ARGV do
  skip[ARGV[at]] = true
end

local CHUNK, MOST = 500, 20000
local taken = {}
for _, priority in ipairs({'urgent', 'high', 'normal'}) do
  local due, from = {}, 0
  while #due < CHUNK and from < MOST do
    local ids = redis.call('ZRANGEBYSCORE', key('due:' .. priority), '-inf', now, 'LIMIT', from, CHUNK)
    for _, id in ipairs(ids) do
      local found = notice(id)
      if not skip[found.channel] then due[#due + 1] = found end
    end
    if #ids < CHUNK then break end
    from = from + CHUNK
  end
  table.sort(due, function(one, other)
    if one.severity ~= other.severity then return one.severity > other.severity end
    if tonumber(one.due) ~= tonumber(other.due) then return tonumber(one.due) < tonumber(other.due) end
    return one.id < other.id
  end)
  for _, found in ipairs(due) do
    if #taken >= limit then return taken end
    if found.page and not redis.call('ZSCORE', key('waiting'), found.case) then
      drop(found)
    else
      redis.call('HSET', key('notice:' .. found.id), 'until', leased_until, 'attempts', found.attempts + 1)
      file(found.id, priority, leased_until)
      taken[#taken + 1] = {found.id, found.kind, found.channel, tostring(found.attempts + 1),
        redis.call('GET', key('case:' .. found.case))}
    end
  end
end
return taken
