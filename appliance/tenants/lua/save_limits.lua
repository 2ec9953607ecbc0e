-- Set and remove limits. ARGV: tenant id ('' without tenants), then name and value of each, value '': remove.
-- Reply: 1, or 0 if there is no such tenant.
local tenant_id = ARGV[1]
if tenant_id ~= '' and call('EXISTS', P .. 'tenant:' .. tenant_id) == 0 then return 0 end
local key = A .. 'limits:' .. tenant_id
for i = 2, #ARGV, 2 do
  if ARGV[i + 1] == '' then call('HDEL', key, ARGV[i]) else call('HSET', key, ARGV[i], ARGV[i + 1]) end
  call('DEL', A .. 'limit_warned:' .. ARGV[i] .. ':' .. tenant_id)
end
if call('EXISTS', key) == 1 then
  call('SADD', A .. 'limited', tenant_id)
  -- Records that were made before there was an index.
  for _, id in ipairs(tenant_id ~= '' and call('SMEMBERS', P .. 'meetings') or {}) do
    local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'tenant_id')
    if m[1] and m[2] == tenant_id then index_meeting(id, m[1], tenant_id) end
  end
else
  if call('EXISTS', A .. 'param_rules:' .. tenant_id) == 0 then call('SREM', A .. 'limited', tenant_id) end
  call('DEL', A .. 'users_of:' .. tenant_id)
end
return 1
