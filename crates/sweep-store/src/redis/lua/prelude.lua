-- What every script begins with: names of the keys, packed rows, and the few doors through which state changes.
--
-- KEYS     all keys of the namespace, always in the order of `K` below, then the eight schedules of the bands 0..7.
-- ARGV[1]  now, ms since the epoch as decimal text, or '' for the server's own clock.
-- ARGV[2]  the call's arguments, a msgpack map; each script names them with their types in `args`.
--
-- A script is isolated but not rolled back: arguments are checked before the first write, and the first write is one that a
-- full server refuses (HSET, ZADD), so that it refuses the whole call. Heads are written once, at the end, by `done`.

local K = {}
for i, name in ipairs({
  'spec', 'conf', 'state', 'result', 'live', 'ready', 'shared', 'lease', 'delay', 'sweep', 'document', 'member', 'walk',
  'worker', 'seen', 'drain', 'attempt', 'log', 'ev', 'meta',
}) do
  K[name] = KEYS[i]
end

-- Fields of packed rows, by position; `rows.rs` has the same lists. False stands for nothing: nil would make a map of the array.
local RUN = {
  'st', 'home', 'ord', 'front', 'fence', 'ended_by', 'attempts', 'errors', 'losses', 'stuck', 'yields', 'worker', 'slot',
  'since', 'checkpoint', 'previous', 'charged', 'error', 'sweeps',
}
local HEAD = {
  'name', 'weight', 'band', 'cap', 'state', 'round', 'sealed', 'vtime', 'seconds', 'ended', 'q', 'l', 'd', 's', 'f', 'c',
  'created', 'serial', 'reports', 'submissions', 'walk', 'retry',
  'skipped',
}
local ATTEMPT = { 'fence', 'worker', 'slot', 'device', 'started', 'ended', 'ending', 'error' }
local WORKER = { 'device', 'request', 'run', 'fence' }

local NAMES = { q = 'queued', l = 'leased', d = 'delayed', s = 'succeeded', f = 'failed', c = 'cancelled' }

-- The arguments, each of the type that `shape` gives its name; a type with a `?` may be missing.
local function args(shape)
  local given = cmsgpack.unpack(ARGV[2])
  for name, kind in pairs(shape) do
    local wanted, optional = string.match(kind, '^(%a+)(%??)$')
    local found = type(given[name])
    if found ~= wanted and not (optional == '?' and found == 'nil') then
      error('argument ' .. name .. ' is a ' .. found .. ', but must be a ' .. wanted)
    end
  end
  return given
end

local function clock()
  if ARGV[1] ~= '' then
    return tonumber(ARGV[1]), tonumber(ARGV[1]) * 1000
  end
  local time = redis.call('TIME')
  local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
  return math.floor(micros / 1000), micros
end
local now, micros = clock()

-- All digits: the language's own conversion stops at 14.
local function digits(number)
  return string.format('%.0f', number)
end

local function get(key, field, fields)
  local packed = redis.call('HGET', key, field)
  if not packed then
    return nil
  end
  local values, row = cmsgpack.unpack(packed), {}
  for i, name in ipairs(fields) do
    row[name] = values[i]
  end
  return row
end

local function pack(row, fields)
  local values = {}
  for i, name in ipairs(fields) do
    values[i] = row[name] or false
  end
  return cmsgpack.pack(values)
end

local function put(key, field, row, fields)
  redis.call('HSET', key, field, pack(row, fields))
end

-- Heads of sweeps, read once and written once per call.
local heads, changed = {}, {}

local function head(sweep)
  if heads[sweep] == nil then
    heads[sweep] = get(K.sweep, sweep, HEAD) or false
  end
  return heads[sweep]
end

local function done(reply)
  for sweep in pairs(changed) do
    put(K.sweep, sweep, heads[sweep], HEAD)
  end
  return reply
end

-- Events are numbered by us, so that a reader can tell when some are gone. `kept` bounds the stream where no tick trims it.
local kept = nil

local function emit(body)
  local id = redis.call('HINCRBY', K.meta, 'events', 1) .. '-0'
  if kept then
    redis.call('XADD', K.ev, 'MAXLEN', '~', kept, id, 'at', digits(now), 'body', body)
  else
    redis.call('XADD', K.ev, id, 'at', digits(now), 'body', body)
  end
end

local function emit_sweep(what, sweep)
  emit('{"' .. what .. '":{"sweep":"' .. sweep .. '"}}')
end

local function emit_run(what, id, run, name, value)
  local sweeps = {}
  for i, member in ipairs(run.sweeps) do
    sweeps[i] = '"' .. member[1] .. '"'
  end
  emit('{"' .. what .. '":{"run":"' .. id .. '","sweeps":[' .. table.concat(sweeps, ',') .. '],"' .. name .. '":' .. value .. '}}')
end

-- The JSON of the configuration of a kept spec, `<key>:<seed>`.
local function configuration(spec)
  return redis.call('HGET', K.conf, string.match(spec, '^[^:]*'))
end

-- A place in a line or listing; '!' sorts before every digit, so runs in front go first.
local function place(sweep, ord, id, front)
  return string.format('%s:%s%010d:%s', sweep, front and '!' or '', ord, id)
end

-- The two ends of what belongs to a sweep in a set of places, for the lexical commands.
local function span(sweep)
  return '[' .. sweep .. ':', '(' .. sweep .. ';'
end

local function first(key, sweep)
  local from, to = span(sweep)
  return redis.call('ZRANGEBYLEX', key, from, to, 'LIMIT', 0, 1)[1]
end

local function schedule(band)
  return KEYS[21 + band]
end

-- The only way in and out of the schedule: in it are the active sweeps below their cap that have a line, at their virtual time.
-- Who enters starts at the band's present time at the earliest: newcomers get no monopoly, idle sweeps hoard nothing.
local function refresh(sweep)
  local h = head(sweep)
  local key = schedule(h.band)
  local fit = h.state == 'active' and (not h.cap or h.l < h.cap) and first(K.ready, sweep)
  local at = redis.call('ZSCORE', key, sweep)
  if not fit then
    if at then
      redis.call('ZREM', key, sweep)
    end
    return
  end
  if not at then
    h.vtime = math.max(h.vtime, tonumber(redis.call('HGET', K.meta, 'gv:' .. h.band) or 0))
    changed[sweep] = true
  end
  if not at or tonumber(at) ~= h.vtime then
    redis.call('ZADD', key, h.vtime, sweep)
  end
end

-- The only change of a sweep's account: slot-seconds, more or less.
local function charge(sweep, seconds)
  local h = head(sweep)
  h.vtime = h.vtime + seconds / h.weight
  changed[sweep] = true
  redis.call('ZADD', schedule(h.band), 'XX', h.vtime, sweep)
end

-- Whether any sweep still wants the run: a paused one does.
local function wanted(run)
  for _, member in ipairs(run.sweeps) do
    if head(member[1]).state ~= 'cancelled' then
      return true
    end
  end
  return false
end

-- Whose line the run should stand in: its home's if that is active, else an active sweep's, else one that may resume. The first
-- of equals wins, in the order of ids.
local function best_home(run)
  local best, best_rank = nil, 9
  for _, member in ipairs(run.sweeps) do
    local state = head(member[1]).state
    local rank = state == 'active' and 0 or state == 'cancelled' and 4 or 2
    if member[1] ~= run.home then
      rank = rank + 1
    end
    if rank < best_rank then
      best, best_rank = member, rank
    end
  end
  return best[1], best[2]
end

-- A waiting run stands in its home's line, and beside the lines of the other sweeps that have it.
local function stand(id, run)
  redis.call('ZADD', K.ready, 0, place(run.home, run.ord, id, run.front))
  for _, member in ipairs(run.sweeps) do
    if member[1] ~= run.home then
      redis.call('ZADD', K.shared, 0, place(member[1], member[2], id, run.front))
    end
  end
end

local function leave(id, run)
  redis.call('ZREM', K.ready, place(run.home, run.ord, id, run.front))
  for _, member in ipairs(run.sweeps) do
    if member[1] ~= run.home then
      redis.call('ZREM', K.shared, place(member[1], member[2], id, run.front))
    end
  end
end

local function forget_live(id)
  local packed = redis.call('HGET', K.live, id)
  if packed then
    local known = cmsgpack.unpack(packed)
    redis.call('HDEL', K.live, id)
    for i = 2, #known do
      redis.call('HDEL', K.live, id .. ':' .. known[i])
    end
  end
end

-- The only change of a run's state and of the counters, in all sweeps of the run. `with`: whether it goes in front (to q), when
-- the lease expires (to l), when the run is due (to d), the fence whose word ended it or false (to s, f, c).
local function move(id, run, to, with)
  local from = run.st
  if from == 'q' then
    leave(id, run)
  elseif from == 'l' then
    redis.call('ZREM', K.lease, id)
  elseif from == 'd' then
    redis.call('ZREM', K.delay, id)
  end
  run.st, run.front, run.ended_by = to, false, false
  if to ~= 'l' then
    run.worker, run.slot, run.since = false, false, false
  end
  if to == 'q' then
    run.front = with
    run.home, run.ord = best_home(run)
    stand(id, run)
  elseif to == 'l' then
    redis.call('ZADD', K.lease, with, id)
  elseif to == 'd' then
    redis.call('ZADD', K.delay, with, id)
  else
    run.ended_by, run.checkpoint, run.previous = with, false, false
    forget_live(id)
  end
  put(K.state, id, run, RUN)
  for _, member in ipairs(run.sweeps) do
    local h = head(member[1])
    h[from] = h[from] - 1
    h[to] = h[to] + 1
    changed[member[1]] = true
  end
  emit_run('run', id, run, 'state', '"' .. NAMES[to] .. '"')
  for _, member in ipairs(run.sweeps) do
    refresh(member[1])
  end
end

-- Moves a waiting run to another sweep's line if its own does not go on; says whether it did.
local function rehome(id, run)
  local home, ord = best_home(run)
  if home == run.home then
    return false
  end
  local old = run.home
  if run.st == 'q' then
    leave(id, run)
  end
  run.home, run.ord = home, ord
  if run.st == 'q' then
    stand(id, run)
  end
  put(K.state, id, run, RUN)
  refresh(old)
  refresh(home)
  return true
end

-- Moves the checkpoint pointers; only a greater epoch is progress. Says whether they moved.
local function point_to(run, checkpoint)
  if not checkpoint or (run.checkpoint and run.checkpoint[1] == checkpoint[1]) then
    return false
  end
  if checkpoint[2] > (run.checkpoint and run.checkpoint[2] or 0) then
    run.stuck = 0
  end
  run.previous, run.checkpoint = run.checkpoint, checkpoint
  return true
end

-- Corrects the home's account from what the attempt was thought to cost to what it did, and closes the attempt. Before `move`,
-- which may take the run to another home.
local function settle(id, run, ending, problem, log)
  local field = id .. ':' .. run.attempts
  local attempt = get(K.attempt, field, ATTEMPT)
  attempt.ended, attempt.ending, attempt.error = now, ending, problem or false
  put(K.attempt, field, attempt, ATTEMPT)
  if log and log ~= '' then
    redis.call('HSET', K.log, field, log)
  end
  run.error = problem or run.error
  local seconds, h = math.max(now - run.since, 0) / 1000, head(run.home)
  charge(run.home, seconds - run.charged)
  h.seconds, h.ended = h.seconds + seconds, h.ended + 1
end

-- What a vanished or broken worker costs a run. `by`: the fence whose word said so, or false.
local function lose(id, run, by, policy)
  run.losses, run.stuck = run.losses + 1, run.stuck + 1
  if not wanted(run) then
    move(id, run, 'c', by)
  elseif run.stuck >= policy.loss_limit then
    move(id, run, 'f', by)
  elseif run.stuck == 1 then
    move(id, run, 'q', true)
  else
    move(id, run, 'd', now + policy.loss_step * 2 ^ math.min(run.stuck - 2, 20))
  end
end

-- A number that never was a fence before, here or in a copy of this store that ran ahead.
local function next_fence()
  local fence = digits(math.max(tonumber(redis.call('HGET', K.meta, 'fence') or 0) + 1, micros))
  redis.call('HSET', K.meta, 'fence', fence)
  return fence
end

-- Notes that somebody called; after a silence every lease gets one more ttl, for its holder could not beat either. Says whether
-- leases may expire now.
local function touch(policy)
  local last = tonumber(redis.call('HGET', K.meta, 'last_seen') or now)
  redis.call('HSET', K.meta, 'last_seen', digits(now))
  if now - last > math.floor(policy.ttl / 2) then
    redis.call('HSET', K.meta, 'grace_until', digits(now + policy.ttl))
    return false
  end
  local grace = tonumber(redis.call('HGET', K.meta, 'grace_until') or now)
  if grace > now + policy.ttl then
    -- A clock set back must not leave a grace that lasts for days.
    redis.call('HSET', K.meta, 'grace_until', digits(now + policy.ttl))
  end
  return now >= grace
end

-- Reaps expired leases and puts due runs in line, at most so many of each; says how many of each.
local function maintain(policy, may_expire, expired_most, due_most)
  -- Times that no honest clock could have written: the clock was set back since.
  for key, bound in pairs({ [K.lease] = now + 2 * policy.ttl, [K.delay] = now + policy.longest_delay }) do
    local most = key == K.lease and expired_most or due_most
    for _, id in ipairs(redis.call('ZREVRANGEBYSCORE', key, '+inf', '(' .. digits(bound), 'LIMIT', 0, most)) do
      redis.call('ZADD', key, bound, id)
    end
  end
  local expired = {}
  if may_expire then
    expired = redis.call('ZRANGEBYSCORE', K.lease, '-inf', digits(now), 'LIMIT', 0, expired_most)
  end
  for _, id in ipairs(expired) do
    local run = get(K.state, id, RUN)
    local problem = nil
    if wanted(run) and run.stuck + 1 >= policy.loss_limit then
      problem = 'lost: ' .. run.stuck + 1 .. ' workers in a row vanished while training it'
    end
    settle(id, run, 'lost', problem)
    lose(id, run, false, policy)
  end
  local due = redis.call('ZRANGEBYSCORE', K.delay, '-inf', digits(now), 'LIMIT', 0, due_most)
  for _, id in ipairs(due) do
    local run = get(K.state, id, RUN)
    if wanted(run) then
      move(id, run, 'q', true)
    else
      move(id, run, 'c', false)
    end
  end
  return #expired, #due
end

-- A drained worker is remembered as long as it is heard of, and a while longer.
local function drained(worker)
  if not redis.call('ZSCORE', K.drain, worker) then
    return false
  end
  redis.call('ZADD', K.drain, now, worker)
  return true
end
