-- Claim or renew the right to call the autoscaler's hooks, or give it back.
-- ARGV: instance, lease_ms (0: give it back). Reply: 1 if it is held.
local key = A .. 'lease-autoscale'
local owner = call('GET', key)
if owner and owner ~= ARGV[1] then return 0 end
if ARGV[2] == '0' then
  call('DEL', key)
  return 0
end
call('SET', key, ARGV[1], 'PX', ARGV[2])
return 1
