-- Remove the web hooks of tenants that no longer exist. ARGV: none. Reply: number removed.
local removed = 0
local hooks = call('HGETALL', A .. 'hooks')
for i = 1, #hooks, 2 do
  local hook = cjson.decode(hooks[i + 1])
  if hook.tenant_id ~= '' and call('SISMEMBER', P .. 'tenants', hook.tenant_id) == 0 then
    remove_hook(hooks[i], hook)
    removed = removed + 1
  end
end
return removed
