-- Read servers. ARGV: server ids... Reply: a list of those that exist, in this order, each one string with a NUL
-- between its fields, which can be compared as a whole; see parse_server in pool/records.py.
local reply = {}
for _, id in ipairs(ARGV) do
  local server = reply_server(id)
  if server then
    reply[#reply + 1] = table.concat(server, '\0')
  else
    -- Another load balancer may remove the hash and leave the memberships: clean up.
    call('SREM', P .. 'servers', id)
    call('SREM', P .. 'server_enabled', id)
    call('ZREM', P .. 'server_load', id)
    call('ZREM', P .. 'cordoned_server_load', id)
  end
end
return reply
