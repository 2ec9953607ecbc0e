-- Add a parameter rule. ARGV: id, tenant id, JSON {param, mode, value, version, call}.
-- Reply: {1} done; {0} unknown tenant; {-1, other id}: the tenant has a rule with the same param, mode,
-- version and call already (of `map` also the same old value).
local id, tenant, rule = ARGV[1], ARGV[2], cjson.decode(ARGV[3])
if call('EXISTS', P .. 'tenant:' .. tenant) == 0 then return { 0 } end
local key = A .. 'param_rules:' .. tenant

local function old_value(one)
  return one.mode == 'map' and string.match(one.value, '^[^:]*') or ''
end

local stored, last = call('HGETALL', key), 0
for i = 1, #stored, 2 do
  local other = cjson.decode(stored[i + 1])
  last = math.max(last, other.order)
  if plain_name(other.param) == plain_name(rule.param) and other.mode == rule.mode and other.version == rule.version
    and other.call == rule.call and old_value(other) == old_value(rule) then
    return { -1, stored[i] }
  end
end
rule.order = last + 1
call('HSET', key, id, cjson.encode(rule))
call('SADD', A .. 'limited', tenant)
note_change('tenants')
return { 1 }
