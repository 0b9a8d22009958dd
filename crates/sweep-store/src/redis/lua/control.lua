-- A person's command: one write to a sweep's head, whatever its size; a walk takes it to the runs.
--
-- Reply: { 'done' } | { 'unknown' } | { 'cancelled' }; after the latter two nothing has changed

local a = args({
  command = 'string', -- active, paused, paused_now, cancelled, retry, weight, band, cap, reported or drain
  target = 'string', -- sweep id, or worker of a drain
  value = 'number?', -- of weight, band and cap
})

if a.command == 'drain' then
  if not redis.call('ZSCORE', K.drain, a.target) then
    redis.call('ZADD', K.drain, now, a.target)
    emit('{"drain":{"worker":' .. cjson.encode(a.target) .. '}}')
  end
  return { 'done' }
end

local sweep, h = a.target, head(a.target)
if not h then
  return { 'unknown' }
end
local states = { active = true, paused = true, paused_now = true, cancelled = true }
local opens = a.command == 'retry' or (states[a.command] and a.command ~= 'cancelled')
if opens and h.state == 'cancelled' then
  return { 'cancelled' }
end

local function follow()
  redis.call('ZADD', K.walk, 0, sweep)
  h.walk = ''
end

if states[a.command] then
  if h.state == a.command then
    return { 'done' }
  end
  follow()
  -- A cancelled sweep retries nothing; any other change lets a retry under way start over.
  h.state, h.retry = a.command, h.retry and a.command ~= 'cancelled'
elseif a.command == 'retry' then
  follow()
  h.retry = true
elseif a.command == 'reported' then
  h.reports = h.reports + 1
  changed[sweep] = true
  return done({ 'done' })
else
  local value = a.value or false
  if h[a.command] == value then
    return { 'done' }
  end
  if a.command == 'band' then
    -- Out of the old band's schedule, so that it enters the new one at that one's time.
    put(K.sweep, sweep, h, HEAD)
    redis.call('ZREM', schedule(h.band), sweep)
  end
  h[a.command] = value
end
changed[sweep] = true
-- First, so that a full server refuses the whole command.
put(K.sweep, sweep, h, HEAD)
refresh(sweep)
emit_sweep('sweep', sweep)
return done({ 'done' })
