-- Add a web hook. ARGV: tenant id or '', callback URL, JSON of the hook (without id), maximum per tenant.
-- Reply: {id, 1} added; {id, 0} the tenant has a hook with this URL; {'', 0} there are too many.
local count = 0
local all = call('HGETALL', A .. 'hooks')
for i = 1, #all, 2 do
  local hook = cjson.decode(all[i + 1])
  if hook.tenant_id == ARGV[1] then
    if hook.callback_url == ARGV[2] then return { all[i], 0 } end
    count = count + 1
  end
end
if count >= tonumber(ARGV[4]) then return { '', 0 } end
local id = decimal(call('INCR', A .. 'hook_ids'))
call('HSET', A .. 'hooks', id, ARGV[3])
for _, meeting_id in ipairs(cjson.decode(ARGV[3]).bound_to or {}) do
  call('SADD', A .. 'hooks_of:' .. meeting_id, id)
end
return { id, 1 }
