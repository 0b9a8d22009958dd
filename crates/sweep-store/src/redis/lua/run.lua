-- One run with everything known of it. Changes nothing.
--
-- Reply: {} when unknown, else { packed run, expiry or due time or '', spec, result or '', step, { metrics, … },
--        { packed attempt, log, … }, configuration as JSON }

local a = args({ run = 'string' })
local packed = redis.call('HGET', K.state, a.run)
if not packed then
  return {}
end
local run = get(K.state, a.run, RUN)
local time = run.st == 'l' and redis.call('ZSCORE', K.lease, a.run) or run.st == 'd' and redis.call('ZSCORE', K.delay, a.run) or ''
local step, epochs, attempts = '0', {}, {}
local live = redis.call('HGET', K.live, a.run)
if live then
  local told = cmsgpack.unpack(live)
  step = table.remove(told, 1)
  table.sort(told)
  for i, epoch in ipairs(told) do
    epochs[i] = redis.call('HGET', K.live, a.run .. ':' .. epoch)
  end
end
for n = 1, run.attempts do
  local field = a.run .. ':' .. n
  table.insert(attempts, redis.call('HGET', K.attempt, field))
  table.insert(attempts, redis.call('HGET', K.log, field) or '')
end
local spec = redis.call('HGET', K.spec, a.run)
return {
  packed, time, spec, redis.call('HGET', K.result, a.run) or '', step, epochs, attempts, configuration(spec),
}
