-- Remove a setting of a tenant. ARGV: setting id.
-- Reply: {id, param, value, override, call, tenant id} of the removed setting, or nil.
local id = ARGV[1]
local key = P .. 'tenant_setting:' .. id
local s = call('HMGET', key, 'param', 'value', 'override', 'tenant_id')
if call('EXISTS', key) == 0 then return false end
local for_call = text(call('HGET', A .. 'setting_calls', id))
call('DEL', key)
call('HDEL', A .. 'setting_calls', id)
if s[4] then call('SREM', P .. 'tenant_settings:' .. s[4], id) end
return { id, text(s[1]), text(s[2]), text(s[3]), for_call, text(s[4]) }
