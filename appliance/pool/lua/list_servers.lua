-- Read servers. ARGV: nothing (all servers) or one server id.
-- Reply: a list of servers, sorted by id; see parse_server in pool/records.py.
local ids = ARGV[1] and { ARGV[1] } or call('SMEMBERS', P .. 'servers')
table.sort(ids)
local reply = {}
for _, id in ipairs(ids) do
  local server = reply_server(id)
  if server then
    reply[#reply + 1] = server
  elseif not ARGV[1] then
    -- Another load balancer may remove the hash and leave the memberships: clean up.
    call('SREM', P .. 'servers', id)
    call('SREM', P .. 'server_enabled', id)
    call('ZREM', P .. 'server_load', id)
    call('ZREM', P .. 'cordoned_server_load', id)
  end
end
return reply
