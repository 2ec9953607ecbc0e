-- ARGV: instance id, server ids... Give back what this appliance held when it stops.
for i = 2, #ARGV do
  if call('GET', A .. 'lease:' .. ARGV[i]) == ARGV[1] then call('DEL', A .. 'lease:' .. ARGV[i]) end
end
call('ZREM', A .. 'instances', ARGV[1])
return 1
