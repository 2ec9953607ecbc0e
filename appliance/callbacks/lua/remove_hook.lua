-- Remove a web hook. The counter of ids is incremented at every change, so that caches can tell whether
-- the hooks have changed. ARGV: hook id, tenant id or ''. Reply: 1, or 0 if the tenant has no such hook.
local found = call('HGET', A .. 'hooks', ARGV[1])
if not found or cjson.decode(found).tenant_id ~= ARGV[2] then return 0 end
call('HDEL', A .. 'hooks', ARGV[1])
call('INCR', A .. 'hook_ids')
return 1
