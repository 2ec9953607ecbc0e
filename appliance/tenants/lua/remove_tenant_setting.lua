-- Remove a setting or a parameter rule of a tenant. ARGV: its id.
-- Reply: {id, param, value, override, call, mode, version, tenant id} of what was removed, or nil.
local id = ARGV[1]
local key = P .. 'tenant_setting:' .. id
local s = call('HMGET', key, 'param', 'value', 'override', 'tenant_id')
if call('EXISTS', key) == 0 then
  for _, tenant in ipairs(call('SMEMBERS', P .. 'tenants')) do
    local rule = call('HGET', A .. 'param_rules:' .. tenant, id)
    if rule then
      call('HDEL', A .. 'param_rules:' .. tenant, id)
      note_change('tenants')
      local r = cjson.decode(rule)
      return { id, r.param, r.value, '', r.call, r.mode, r.version, tenant }
    end
  end
  return false
end
local for_call = text(call('HGET', A .. 'setting_calls', id))
call('DEL', key)
note_change('tenants')
call('HDEL', A .. 'setting_calls', id)
if s[4] then call('SREM', P .. 'tenant_settings:' .. s[4], id) end
return { id, text(s[1]), text(s[2]), text(s[3]), for_call, '', '', text(s[4]) }
