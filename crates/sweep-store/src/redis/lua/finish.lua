-- A lease ends by its holder's word, once: sent again under the fence that was accepted it is answered `already`.
--
-- Reply: { 'applied' | 'already' | 'stale' }

local a = args({
  run = 'string', fence = 'string',
  ending = 'string', -- succeeded, retry, failed, yielded, faulted or cancelled
  due_in = 'number', -- ms, of a retry
  checkpoint = 'table?', -- { digest, epoch, batch, bytes as text }, of a yield
  result = 'string?', -- JSON, of a success
  error = 'string?', log = 'string',
  policy = 'table',
})
kept = a.policy.events_kept

local run = get(K.state, a.run, RUN)
if not run then
  return { 'stale' }
end
if run.st ~= 'l' or run.fence ~= a.fence then
  return { run.ended_by == a.fence and 'already' or 'stale' }
end

settle(a.run, run, a.ending, a.error, a.log)
if a.ending == 'retry' or a.ending == 'failed' then
  run.errors = run.errors + 1
elseif a.ending == 'yielded' then
  run.yields = run.yields + 1
end
if a.ending == 'succeeded' then
  redis.call('HSET', K.result, a.run, a.fence .. ' ' .. a.result)
  move(a.run, run, 's', a.fence)
elseif a.ending == 'failed' then
  move(a.run, run, 'f', a.fence)
elseif a.ending == 'faulted' then
  lose(a.run, run, a.fence, a.policy)
elseif not wanted(run) then
  move(a.run, run, 'c', a.fence)
elseif a.ending == 'retry' then
  move(a.run, run, 'd', now + a.due_in)
else
  point_to(run, a.checkpoint)
  move(a.run, run, 'q', true)
end
return done({ 'applied' })
