-- ARGV: hook id, tenant id or ''. Reply: 1, or 0 where the tenant has no such hook.
-- The counter of ids rises with every change, so that who has read the hooks knows whether to again.
local found = call('HGET', A .. 'hooks', ARGV[1])
if not found or cjson.decode(found).tenant_id ~= ARGV[2] then return 0 end
call('HDEL', A .. 'hooks', ARGV[1])
call('INCR', A .. 'hook_ids')
return 1
