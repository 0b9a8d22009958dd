-- A piece of a sweep's listing, in the order of the sweep. Changes nothing.
--
-- Reply: { last place visited or '' at the end, { key, configuration as JSON, … }, { place, packed run, expiry or due time or '', spec, result or '' }, … }

local a = args({
  sweep = 'string', after = 'string', -- the last place visited before, '' for the start
  states = 'string', -- letters of the states to be shown, '' for all
  results = 'boolean', -- whether results are read
  limit = 'number', -- runs shown at most
  visit = 'number', -- members looked at most
})
local from, to = span(a.sweep)
if a.after ~= '' then
  from = '(' .. a.after
end
local places = redis.call('ZRANGEBYLEX', K.member, from, to, 'LIMIT', 0, a.visit)
local configurations, has = {}, {}
local reply, last = { '', configurations }, ''
for i, found in ipairs(places) do
  last = found
  local id = string.sub(found, -20)
  local packed = redis.call('HGET', K.state, id)
  local st = cmsgpack.unpack(packed)[1]
  if a.states == '' or string.find(a.states, st, 1, true) then
    local time = st == 'l' and redis.call('ZSCORE', K.lease, id) or st == 'd' and redis.call('ZSCORE', K.delay, id) or ''
    local result = a.results and st == 's' and redis.call('HGET', K.result, id) or ''
    local spec = redis.call('HGET', K.spec, id)
    local key = string.match(spec, '^[^:]*')
    if not has[key] then
      has[key] = true
      table.insert(configurations, key)
      table.insert(configurations, configuration(spec))
    end
    table.insert(reply, { found, packed, time, spec, result })
    if #reply > a.limit + 1 then
      break
    end
  end
end
if #reply > a.limit + 1 or #places == a.visit then
  reply[1] = last
end
return reply
