-- ARGV: hook id, tenant id or ''. Reply: 1, or 0 where the tenant has no such hook.
local found = call('HGET', A .. 'hooks', ARGV[1])
if not found or cjson.decode(found).tenant_id ~= ARGV[2] then return 0 end
return call('HDEL', A .. 'hooks', ARGV[1])
