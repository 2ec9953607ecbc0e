-- Remove the recorded calls of settings that a Scalelite has removed. ARGV: none. Reply: number removed.
local removed = 0
for _, id in ipairs(call('HKEYS', A .. 'setting_calls')) do
  if call('EXISTS', P .. 'tenant_setting:' .. id) == 0 then
    removed = removed + call('HDEL', A .. 'setting_calls', id)
  end
end
return removed
