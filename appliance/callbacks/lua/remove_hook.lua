-- Remove a web hook. ARGV: hook id, tenant id or ''. Reply: 1, or 0 if the tenant has no such hook.
local found = call('HGET', A .. 'hooks', ARGV[1])
local hook = found and cjson.decode(found)
if not hook or hook.tenant_id ~= ARGV[2] then return 0 end
remove_hook(ARGV[1], hook)
return 1
