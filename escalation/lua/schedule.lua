-- Queue a page to each channel. 0: the case has changed since it was read.
-- ARGV: case, severity, raised, key, now, the case as it was read, then channels.

local case, severity, raised, about, now = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
if redis.call('GET', key('case:' .. case)) ~= ARGV[6] then return 0 end

local heard, waits = false, {}
for _, found in ipairs(notices(case)) do
  if found.page then
    local free = found.state == 'waiting' and not found.leased(now)
    if free and found.severity < severity then
      -- What still waits to say something milder is left out: the page being queued says more.
      drop(found)
    else
      heard = heard or found.state == 'sent' or found.state == 'waiting'
      if free and found.severity == severity then waits[found.channel] = true end
    end
  end
end

local kind = heard and 'case.repaged' or 'case.opened'
for at = 7, #ARGV do
  local state = waits[ARGV[at]] and 'dropped' or 'waiting'
  queue(case .. ':' .. about, kind, case, ARGV[at], severity, raised, now, state)
end
return 1
