-- What an autoscaler needs. Changes nothing.
--
-- Reply: { runs that could be leased now, leased runs, delayed runs }

local ready = 0
for _, sweep in ipairs(redis.call('HKEYS', K.sweep)) do
  local h = head(sweep)
  if h.state == 'active' and h.q > 0 then
    local from, to = span(sweep)
    local line = redis.call('ZLEXCOUNT', K.ready, from, to)
    ready = ready + math.min(line, h.cap and math.max(h.cap - h.l, 0) or line)
  end
end
return { digits(ready), digits(redis.call('ZCARD', K.lease)), digits(redis.call('ZCARD', K.delay)) }
