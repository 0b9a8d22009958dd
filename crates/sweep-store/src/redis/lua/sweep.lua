-- A sweep's head and document, which belong together: a new round changes both. Changes nothing.
--
-- Reply: {} when unknown, else { packed head, document as JSON }

local a = args({ sweep = 'string' })
local packed = redis.call('HGET', K.sweep, a.sweep)
if not packed then
  return {}
end
return { packed, redis.call('HGET', K.document, a.sweep) }
