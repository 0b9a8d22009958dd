-- A holder lives: its lease is extended, its progress kept. The answer is the only order a worker gets.
--
-- Reply: { 'continue' | 'cancel' | 'yield' | 'lost' }

local a = args({
  run = 'string', fence = 'string',
  step = 'string', -- optimizer steps done
  epochs = 'table', -- of { epoch, metrics as JSON }
  checkpoint = 'table?', -- { digest, epoch, batch, bytes as text }
  policy = 'table',
})
kept = a.policy.events_kept

touch(a.policy)
local run = get(K.state, a.run, RUN)
if not run or run.st ~= 'l' or run.fence ~= a.fence then
  return { 'lost' }
end
redis.call('ZADD', K.lease, now + a.policy.ttl, a.run)
if point_to(run, a.checkpoint) then
  put(K.state, a.run, run, RUN)
end

-- The field of the run itself lists the epochs that have fields of their own.
local packed = redis.call('HGET', K.live, a.run)
local told = packed and cmsgpack.unpack(packed) or { '0' }
local listed = {}
for i = 2, #told do
  listed[told[i]] = true
end
local newest = nil
for _, metrics in ipairs(a.epochs) do
  local epoch, field = metrics[1], a.run .. ':' .. metrics[1]
  if redis.call('HGET', K.live, field) ~= metrics[2] then
    redis.call('HSET', K.live, field, metrics[2])
    newest = epoch
  end
  if not listed[epoch] then
    table.insert(told, epoch)
    listed[epoch] = true
  end
end
told[1] = a.step
local repacked = cmsgpack.pack(told)
if repacked ~= packed then
  redis.call('HSET', K.live, a.run, repacked)
end
if newest then
  emit_run('epoch', a.run, run, 'epoch', digits(newest))
end
redis.call('ZADD', K.seen, 'XX', now, run.worker .. '/' .. digits(run.slot))

local is = {}
for _, member in ipairs(run.sweeps) do
  is[head(member[1]).state] = true
end
local drain = drained(run.worker)
if is.active or is.paused then
  return { drain and 'yield' or 'continue' }
end
return { is.paused_now and 'yield' or 'cancel' }
