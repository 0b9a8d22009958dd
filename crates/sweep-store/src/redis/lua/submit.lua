-- A sweep and its runs come in. Sent again it changes nothing.
--
-- Reply: { 'done', new, known, joined, requeued }
--        { 'differs', run id, stored spec, its configuration as JSON, … }  known runs whose spec is written otherwise; nothing
--        has changed
--        { 'round', current round, '1' when that is complete }  refused; nothing has changed
--        { 'cancelled' }  the sweep takes no new round; nothing has changed

local a = args({
  sweep = 'string', -- id
  name = 'string', weight = 'number', band = 'number', cap = 'number?', round = 'number', seeds = 'number',
  document = 'string', -- JSON
  configurations = 'table', -- of { key, JSON, key of its pictures }
  runs = 'table', -- of { run id, ord, spec as `<key>:<seed>` }
  last = 'boolean', -- all runs of the round have arrived
})

-- Configurations that are not kept yet.
local sent, unkept, pictures = {}, {}, {}
for _, pair in ipairs(a.configurations) do
  local key, text = pair[1], pair[2]
  sent[key], pictures[key] = text, pair[3]
  local stored = redis.call('HGET', K.conf, key)
  if stored and stored ~= text then
    error('configuration ' .. key .. ' is kept with another content')
  end
  unkept[key] = not stored and text or nil
end

local known, specs, differing, ids = {}, {}, { 'differs' }, {}
for i, new in ipairs(a.runs) do
  ids[i] = new[1]
end
local kept_specs = #ids > 0 and redis.call('HMGET', K.spec, unpack(ids)) or {}
for i, new in ipairs(a.runs) do
  local id, spec = new[1], new[3]
  local stored = specs[id] or kept_specs[i]
  if stored and stored ~= spec then
    table.insert(differing, id)
    table.insert(differing, stored)
    table.insert(differing, configuration(stored) or sent[string.match(stored, '^[^:]*')])
  end
  specs[id] = stored or spec
  if kept_specs[i] then
    known[id] = get(K.state, id, RUN)
  end
end
if #differing > 1 then
  return differing
end

local function has(run)
  for _, member in ipairs(run.sweeps) do
    if member[1] == a.sweep then
      return true
    end
  end
  return false
end

-- A complete round takes no new runs, an open adaptive one only those of the decision that opened it, so that of two coordinators
-- that decide on the next one only one wins. A cancelled sweep is reopened by its first round only: a coordinator that has not
-- heard of the end must not undo it.
local h, again, opens = head(a.sweep), false, false
if h then
  if a.round > 0 and h.state == 'cancelled' then
    return { 'cancelled' }
  end
  opens = h.sealed and a.round == h.round + 1
  local goes_on = not h.sealed and a.round == h.round
  local other = goes_on and a.round > 0 and redis.call('HGET', K.document, a.sweep) ~= a.document
  if not opens and not goes_on then
    again = a.round <= h.round
    for _, new in ipairs(a.runs) do
      again = again and known[new[1]] and has(known[new[1]])
    end
  end
  if other or not (opens or goes_on or again) then
    return { 'round', digits(h.round), h.sealed and '1' or '0' }
  end
end

local news = not h
local reopened = h and h.state == 'cancelled'
if not h then
  redis.call('HSET', K.document, a.sweep, a.document)
  h = {
    name = a.name, weight = a.weight, band = a.band, cap = a.cap or false, state = 'active', round = a.round, sealed = false,
    vtime = 0, seconds = 0, ended = 0, q = 0, l = 0, d = 0, s = 0, f = 0, c = 0, created = now,
    serial = redis.call('HINCRBY', K.meta, 'sweeps', 1), reports = 0, submissions = '', walk = false, retry = false,
    skipped = 0,
  }
  heads[a.sweep], changed[a.sweep] = h, true
elseif reopened then
  -- The walk takes in those runs that stand in the line of a paused sweep.
  redis.call('ZADD', K.walk, 0, a.sweep)
  h.state, h.walk, h.retry = 'active', '', false
  changed[a.sweep] = true
end
if opens then
  redis.call('HSET', K.document, a.sweep, a.document)
end
if not again then
  h.round, h.sealed = a.round, false
  changed[a.sweep] = true
end

local counts = { new = 0, known = 0, joined = 0, requeued = 0 }

-- New runs are written together, a few commands for all of them; until then they stand in `fresh.has` only.
local fresh = { has = {}, specs = {}, states = {}, places = {} }

-- The row of a new run in two pieces. Only its place differs from run to run; it is packed alone and stands behind each piece:
-- as third field, `ord`, and at the end of the last, `sweeps`. Packing whole rows would be half of the work of this script.
local row = pack({
  st = 'q', home = a.sweep, ord = 0, attempts = 0, errors = 0, losses = 0, stuck = 0, yields = 0, charged = 0,
  sweeps = { { a.sweep, 0 } },
}, RUN)
-- Three bytes say how many fields there are, one is the place 0.
local before = string.sub(row, 1, 3 + #cmsgpack.pack('q', a.sweep))
local between = string.sub(row, #before + 2, -2)

local function submit_new(id, ord, spec)
  local key = string.match(spec, '^[^:]*')
  if unkept[key] then
    redis.call('HSET', K.conf, key, unkept[key], 'data:' .. key, pictures[key])
    unkept[key] = nil
  end
  local packed_ord = cmsgpack.pack(ord)
  table.insert(fresh.specs, id)
  table.insert(fresh.specs, spec)
  table.insert(fresh.states, id)
  table.insert(fresh.states, before .. packed_ord .. between .. packed_ord)
  table.insert(fresh.places, 0)
  table.insert(fresh.places, place(a.sweep, ord, id))
  fresh.has[id] = true
  counts.new = counts.new + 1
  return true
end

local function write_new()
  if counts.new > 0 then
    redis.call('HSET', K.spec, unpack(fresh.specs))
    redis.call('HSET', K.state, unpack(fresh.states))
    redis.call('ZADD', K.member, unpack(fresh.places))
    redis.call('ZADD', K.ready, unpack(fresh.places))
    h.q = h.q + counts.new
    changed[a.sweep] = true
  end
end

local function join(id, run, ord)
  redis.call('ZADD', K.member, 0, place(a.sweep, ord, id))
  table.insert(run.sweeps, { a.sweep, ord })
  table.sort(run.sweeps, function(one, other) return one[1] < other[1] end)
  put(K.state, id, run, RUN)
  if run.st == 'q' then
    redis.call('ZADD', K.shared, 0, place(a.sweep, ord, id, run.front))
  end
  h[run.st] = h[run.st] + 1
  changed[a.sweep] = true
end

local function submit_known(id, run, ord)
  local joins = not has(run)
  if joins then
    join(id, run, ord)
  end
  if run.st == 's' or run.st == 'f' then
    counts.known = counts.known + 1
  elseif run.st == 'c' then
    counts.requeued = counts.requeued + 1
    move(id, run, 'q', false)
    return true
  else
    counts.joined = counts.joined + 1
    if run.st ~= 'l' then
      return rehome(id, run) or joins
    end
  end
  return joins
end

for _, new in ipairs(a.runs) do
  local id, ord, spec = new[1], new[2], new[3]
  local moved
  if known[id] then
    moved = submit_known(id, known[id], ord)
  elseif fresh.has[id] then
    -- A second time in this very call.
    counts.joined = counts.joined + 1
  else
    moved = submit_new(id, ord, spec)
  end
  news = news or moved
end
write_new()
refresh(a.sweep)
if (a.last and not again) or reopened then
  h.sealed = h.sealed or (a.last and not again)
  local runs = h.q + h.l + h.d + h.s + h.f + h.c
  local submission = string.format('{"at":%.0f,"round":%.0f,"seeds":%.0f,"runs":%.0f,"reports":%.0f}', now, a.round, a.seeds, runs, h.reports)
  h.submissions = h.submissions == '' and submission or h.submissions .. ',' .. submission
  changed[a.sweep], news = true, true
end
if news then
  emit_sweep('submitted', a.sweep)
end
return done({ 'done', digits(counts.new), digits(counts.known), digits(counts.joined), digits(counts.requeued) })
