-- Claim or renew the right to write usage to the database. ARGV: instance, lease_ms. Reply: 1 if held.
local key = A .. 'lease-usage'
local owner = call('GET', key)
if owner and owner ~= ARGV[1] then return 0 end
call('SET', key, ARGV[1], 'PX', ARGV[2])
return 1
