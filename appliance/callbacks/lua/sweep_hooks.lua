-- Remove the web hooks of tenants that no longer exist. ARGV: none. Reply: number removed.
local removed = 0
local hooks = call('HGETALL', A .. 'hooks')
for i = 1, #hooks, 2 do
  local tenant_id = cjson.decode(hooks[i + 1]).tenant_id
  if tenant_id ~= '' and call('SISMEMBER', P .. 'tenants', tenant_id) == 0 then
    call('HDEL', A .. 'hooks', hooks[i])
    removed = removed + 1
  end
end
if removed > 0 then call('INCR', A .. 'hook_ids') end
return removed
