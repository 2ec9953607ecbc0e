-- Remove a tenant with its settings and its name. ARGV: tenant id, force (1/0).
-- Reply: -1 unknown; n > 0 refused because of n meetings; 0 removed.
local id = ARGV[1]
local key = P .. 'tenant:' .. id
if call('EXISTS', key) == 0 then return -1 end
if ARGV[2] ~= '1' then
  local held = 0
  for _, meeting in ipairs(call('SMEMBERS', P .. 'meetings')) do
    if call('HGET', P .. 'meeting:' .. meeting, 'tenant_id') == id then held = held + 1 end
  end
  if held > 0 then return held end
end
local name = call('HGET', key, 'name')
if name then
  release_tenant_name(name, id)
  -- Until it is in the database. Without one it is of no use, and all are forgotten after 30 days.
  local names = A .. 'usage_removed_tenants'
  call('HSET', names, id, name)
  if call('TTL', names) < 0 then call('EXPIRE', names, 2592000) end
end
for _, setting in ipairs(call('SMEMBERS', P .. 'tenant_settings:' .. id)) do
  call('DEL', P .. 'tenant_setting:' .. setting)
  call('HDEL', A .. 'setting_calls', setting)
end
call('DEL', P .. 'tenant_settings:' .. id, key, A .. 'meetings_of_tenant:' .. id, A .. 'limits:' .. id,
  A .. 'param_rules:' .. id)
call('SREM', A .. 'limited', id)
call('SREM', P .. 'tenants', id)
note_change('tenants')
return 0
