-- Add a setting. ARGV: id, tenant id, param, value, override (true/false), call ('', create, join).
-- Reply: {1} done; {0} unknown tenant; {-1, other id}: the tenant has a setting with the same param,
-- override and call already.
local id, tenant, param, value, override, for_call = unpack(ARGV)
if call('EXISTS', P .. 'tenant:' .. tenant) == 0 then return { 0 } end
for _, other in ipairs(call('SMEMBERS', P .. 'tenant_settings:' .. tenant)) do
  local s = call('HMGET', P .. 'tenant_setting:' .. other, 'param', 'override')
  if plain_name(text(s[1])) == plain_name(param) and (s[2] == 'true') == (override == 'true')
    and text(call('HGET', A .. 'setting_calls', other)) == for_call then
    return { -1, other }
  end
end
call('HSET', P .. 'tenant_setting:' .. id, 'param', param, 'value', value, 'override', override, 'tenant_id', tenant)
if for_call ~= '' then call('HSET', A .. 'setting_calls', id, for_call) end
call('SADD', P .. 'tenant_settings:' .. tenant, id)
note_change('tenants')
return { 1 }
