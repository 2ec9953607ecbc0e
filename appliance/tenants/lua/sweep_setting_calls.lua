-- Remove what the appliance keeps of settings and tenants that a Scalelite has removed. ARGV: none. Reply: number removed.
local removed = 0
for _, id in ipairs(call('HKEYS', A .. 'setting_calls')) do
  if call('EXISTS', P .. 'tenant_setting:' .. id) == 0 then
    removed = removed + call('HDEL', A .. 'setting_calls', id)
  end
end
-- Every tenant with rules or limits is in `limited`.
for _, id in ipairs(call('SMEMBERS', A .. 'limited')) do
  if id ~= '' and call('EXISTS', P .. 'tenant:' .. id) == 0 then
    removed = removed + call('DEL', A .. 'limits:' .. id, A .. 'param_rules:' .. id)
    call('SREM', A .. 'limited', id)
  end
end
return removed
