-- What the other scripts begin with. KEYS[1] is the place of all keys here, with its hash tag, so that they share a slot.
-- Times come and go as text: a number made into text here would lose its milliseconds.

local function key(name)
  return KEYS[1] .. name
end

local function priority_of(severity, raised)
  if severity >= 4 or raised == 'urgent' then return 'urgent' end
  if severity == 3 or raised == 'high' then return 'high' end
  return 'normal'
end

local FIELDS = {'case', 'kind', 'channel', 'severity', 'priority', 'due', 'until', 'attempts', 'state'}

local function notice(id)
  local values = redis.call('HMGET', key('notice:' .. id), unpack(FIELDS))
  local found = {id = id}
  for at, name in ipairs(FIELDS) do
    found[name] = values[at]
  end
  found.severity, found.attempts = tonumber(found.severity), tonumber(found.attempts)
  found.page = found.kind == 'case.opened' or found.kind == 'case.repaged'
  found.leased = function(now) return tonumber(found['until']) > tonumber(now) end
  return found
end

local function notices(case)
  local found = {}
  local ids = redis.call('SMEMBERS', key('notices:' .. case))
  table.sort(ids)
  for _, id in ipairs(ids) do
    found[#found + 1] = notice(id)
  end
  return found
end

-- Where a waiting notice is found when its time has come: by how urgent it is, at the later of its due time and its lease.
local function file(id, priority, due)
  redis.call('ZADD', key('due:' .. priority), due, id)
end

local function unfile(found)
  redis.call('ZREM', key('due:' .. found.priority), found.id)
end

local function drop(found)
  redis.call('HSET', key('notice:' .. found.id), 'state', 'dropped')
  unfile(found)
end

-- An id is made of what the notice is about, so that the same one is never queued twice.
local function queue(about, kind, case, channel, severity, raised, due, state)
  local id = 'msg_' .. string.sub(redis.sha1hex(about .. ':' .. channel), 1, 32)
  if redis.call('EXISTS', key('notice:' .. id)) == 1 then return end
  local priority = priority_of(severity, raised)
  redis.call('HSET', key('notice:' .. id), 'case', case, 'kind', kind, 'channel', channel, 'severity', severity,
    'priority', priority, 'due', due, 'until', '0', 'attempts', '0', 'state', state)
  redis.call('SADD', key('notices:' .. case), id)
  if state == 'waiting' then file(id, priority, due) end
end
