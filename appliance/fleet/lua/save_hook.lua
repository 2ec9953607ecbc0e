-- Record what an autoscaler's hook was told, if the caller still has the lease.
-- ARGV: instance, name of the hook, then fields and values. Reply: 1 if it was recorded.
if call('GET', A .. 'lease-autoscale') ~= ARGV[1] then return 0 end
local key = A .. 'autoscale:' .. ARGV[2]
for index = 3, #ARGV, 2 do call('HSET', key, ARGV[index], ARGV[index + 1]) end
return 1
