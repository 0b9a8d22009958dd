-- Maintenance in bounded pieces: expired leases, due runs, walks, pruning. By any number of callers.
--
-- Reply: { expired, due, walked, '1' when a bound was met }

local a = args({ policy = 'table' })
local p = a.policy
kept = p.events_kept

-- Rows that one tick removes of each kind at most.
local PRUNE = 1000

local may_expire = touch(p)
local expired, due = maintain(p, may_expire, p.tick_expired, p.tick_due)

-- Brings one run in line with what its sweeps want now; again, it changes nothing.
local function visit(id, retry)
  local run = get(K.state, id, RUN)
  local want = wanted(run)
  if (run.st == 'q' or run.st == 'd') and not want then
    move(id, run, 'c', false)
  elseif run.st == 'q' then
    rehome(id, run)
  elseif run.st == 'f' and retry and want then
    run.errors, run.losses, run.stuck = 0, 0, 0
    move(id, run, 'q', false)
  end
end

local walked = 0
while walked < p.walk do
  local sweep = redis.call('ZRANGE', K.walk, 0, 0)[1]
  if not sweep then
    break
  end
  local h, bound = head(sweep), p.walk - walked
  local from, to = span(sweep)
  if h.walk and h.walk ~= '' then
    from = '(' .. h.walk
  end
  local members = redis.call('ZRANGEBYLEX', K.member, from, to, 'LIMIT', 0, bound)
  for _, member in ipairs(members) do
    visit(string.sub(member, -20), h.retry)
  end
  walked = walked + #members
  if #members == bound then
    h.walk = members[bound]
  else
    h.walk, h.retry = false, false
    redis.call('ZREM', K.walk, sweep)
  end
  changed[sweep] = true
end

local silent = '(' .. digits(now - p.worker_kept)
local forgotten = redis.call('ZRANGEBYSCORE', K.seen, '-inf', silent, 'LIMIT', 0, PRUNE)
for _, holder in ipairs(forgotten) do
  redis.call('ZREM', K.seen, holder)
  redis.call('HDEL', K.worker, holder)
end
for _, worker in ipairs(redis.call('ZRANGEBYSCORE', K.drain, '-inf', silent, 'LIMIT', 0, PRUNE)) do
  redis.call('ZREM', K.drain, worker)
end
redis.call('XTRIM', K.ev, 'MAXLEN', math.max(p.events_kept, 1))

local more = expired == p.tick_expired or due == p.tick_due or walked == p.walk or #forgotten == PRUNE
return done({ digits(expired), digits(due), digits(walked), more and '1' or '0' })
