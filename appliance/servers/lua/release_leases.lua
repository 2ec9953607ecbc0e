-- Release the leases of an appliance that stops. ARGV: instance id, server ids... Reply: 1.
for i = 2, #ARGV do
  if call('GET', A .. 'lease:' .. ARGV[i]) == ARGV[1] then call('DEL', A .. 'lease:' .. ARGV[i]) end
end
call('ZREM', A .. 'instances', ARGV[1])
return 1
