-- Release the leases of an appliance that stops. ARGV: instance id, server ids... Reply: 1.
local key = A .. 'leases'
for i = 2, #ARGV do
  if call('HGET', key, ARGV[i]) == ARGV[1] then call('HDEL', key, ARGV[i]) end
end
call('SREM', A .. 'pollers', ARGV[1])
call('DEL', A .. 'poller:' .. ARGV[1])
note_change('leases')
return 1
