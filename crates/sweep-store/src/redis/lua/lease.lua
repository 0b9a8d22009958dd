-- The next run by band, fair share and order, for a slot that asks; and a little maintenance, so that no daemon is needed.
--
-- Reply: { 'lease', run id, packed run, spec, its configuration as JSON, ms from its sweep's submission or '' after a first attempt }
--        { 'nothing', '1' when the worker is being drained, ms until the next run is due or '' }

local a = args({
  worker = 'string', slot = 'number', request = 'string', device = 'string', -- device as JSON
  only = 'string?', -- the one sweep whose runs are wished for
  holds = 'table', -- keys of the pictures that the slot holds
  policy = 'table',
})
kept = a.policy.events_kept

local may_expire = touch(a.policy)
maintain(a.policy, may_expire, a.policy.lease_expired, a.policy.lease_due)

local holder = a.worker .. '/' .. digits(a.slot)

local function seen(run, fence)
  put(K.worker, holder, { device = a.device, request = a.request, run = run, fence = fence }, WORKER)
  redis.call('ZADD', K.seen, now, holder)
end

local function granted(id, run)
  local spec = redis.call('HGET', K.spec, id)
  local waited = ''
  if run.attempts == 1 then
    local h = head(run.home)
    local submitted = tonumber(string.match(h.submissions, '.*"at":(%d+)')) or h.created
    waited = digits(math.max(run.since - submitted, 0))
  end
  return done({ 'lease', id, pack(run, RUN), spec, configuration(spec), waited })
end

-- The lease that the lost reply to the same wish gave, if it still stands.
local before = get(K.worker, holder, WORKER)
if before and before.request == a.request and before.run then
  local run = get(K.state, before.run, RUN)
  if run and run.st == 'l' and run.fence == before.fence then
    return granted(before.run, run)
  end
end

local function run_at(found)
  return string.sub(found, -20)
end

-- Lowest band, then lowest virtual time, then id; of that sweep the first in line. The line itself is looked at: a sweep whose
-- line proves empty leaves the schedule.
local function pick()
  for band = 0, 7 do
    for _ = 1, 4 do
      local sweep = redis.call('ZRANGE', schedule(band), 0, 0)[1]
      if not sweep then
        break
      end
      local found = first(K.ready, sweep)
      if found then
        return run_at(found)
      end
      refresh(sweep)
    end
  end
end

-- The first run in line that the sweep wants: of its own line, else of a line of another sweep that shares the run.
local function pick_of(sweep)
  local h = head(sweep)
  if not h or h.state ~= 'active' or (h.cap and h.l >= h.cap) then
    return nil
  end
  local found = first(K.ready, sweep) or first(K.shared, sweep)
  return found and run_at(found)
end

-- The first of these places whose run is on pictures that the slot holds.
local function held(places)
  local ids, keys = {}, {}
  for i, found in ipairs(places) do
    ids[i] = run_at(found)
  end
  for i, spec in ipairs(redis.call('HMGET', K.spec, unpack(ids))) do
    keys[i] = 'data:' .. string.match(spec, '^[^:]*')
  end
  local pictures = redis.call('HMGET', K.conf, unpack(keys))
  for i, id in ipairs(ids) do
    for _, key in ipairs(a.holds) do
      if pictures[i] == key then
        return id
      end
    end
  end
end

-- The run that goes before the head of the sweep's line, which did not come back to its front: one on pictures that the slot
-- holds, near the front. The head is passed over a bounded number of times, so nothing starves.
local function nearer(sweep)
  if #a.holds == 0 or a.policy.affinity_window <= 1 or (head(sweep).skipped or 0) >= a.policy.affinity_skips then
    return nil
  end
  local from, to = span(sweep)
  local places = redis.call('ZRANGEBYLEX', K.ready, from, to, 'LIMIT', 0, a.policy.affinity_window)
  -- Most often it is the head, and the others need no look.
  if held({ places[1] }) then
    return nil
  end
  return held(places)
end

local drain, id = drained(a.worker), nil
if not drain then
  if a.only then
    id = pick_of(a.only)
  else
    id = pick()
  end
end
if not id then
  seen(false, false)
  local due = redis.call('ZRANGE', K.delay, 0, 0, 'WITHSCORES')[2]
  return done({ 'nothing', drain and '1' or '0', due and digits(math.max(tonumber(due) - now, 0)) or '' })
end

local run = get(K.state, id, RUN)
local h = head(run.home)
-- A run that goes first never waits for another, nor does it end the wait of the one behind it.
if not a.only and not run.front then
  local near = nearer(run.home)
  h.skipped = near and (h.skipped or 0) + 1 or 0
  changed[run.home] = true
  if near then
    id, run = near, get(K.state, near, RUN)
  end
end
-- Taken from the account at once, for the attempt's end may be an hour away.
local estimate = h.ended > 0 and h.seconds / h.ended or a.policy.first_estimate
redis.call('HSET', K.meta, 'gv:' .. h.band, h.vtime)
charge(run.home, estimate)
run.charged, run.attempts, run.fence = estimate, run.attempts + 1, next_fence()
run.worker, run.slot, run.since = a.worker, a.slot, now
move(id, run, 'l', now + a.policy.ttl)

put(K.attempt, id .. ':' .. run.attempts, {
  fence = run.fence, worker = a.worker, slot = a.slot, device = a.device, started = now,
}, ATTEMPT)
local live = redis.call('HGET', K.live, id)
if live then
  local told = cmsgpack.unpack(live)
  told[1] = '0'
  redis.call('HSET', K.live, id, cmsgpack.pack(told))
end
seen(id, run.fence)
return granted(id, run)
