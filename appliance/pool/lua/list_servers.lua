-- Read servers. ARGV: nothing (all servers) or one server id.
-- Reply: a list of servers, sorted by id; see parse_server in pool/records.py.
local ids = ARGV[1] and { ARGV[1] } or call('SMEMBERS', P .. 'servers')
table.sort(ids)
local reply = {}
for _, id in ipairs(ids) do
  local s = call('HMGET', P .. 'server:' .. id, 'url', 'secret', 'state', 'online', 'load_multiplier', 'tag',
    'meetings', 'users', 'largest_meeting', 'videos', 'bbb_version')
  if s[1] then
    local limits = call('HMGET', A .. 'server:' .. id, 'max_meetings', 'max_users')
    local load = call('ZSCORE', P .. 'server_load', id) or call('ZSCORE', P .. 'cordoned_server_load', id)
    local unhealthy, suspicion = call('HGET', P .. id, 'unhealthy_counter'), call('GET', A .. 'suspect:' .. id)
    local unstable = s[4] == 'true' and is_unstable(unhealthy, suspicion)
    reply[#reply + 1] = { id, s[1], text(s[2]), state_of(id, s[3]), text(s[4]), text(s[5]), text(s[6]),
      text(s[7]), text(s[8]), text(s[9]), text(s[10]), text(s[11]), text(limits[1]), text(limits[2]),
      text(load), text(unhealthy), text(suspicion), unstable and 1 or 0 }
  elseif not ARGV[1] then
    -- Another load balancer may remove the hash and leave the memberships: clean up.
    call('SREM', P .. 'servers', id)
    call('SREM', P .. 'server_enabled', id)
    call('ZREM', P .. 'server_load', id)
    call('ZREM', P .. 'cordoned_server_load', id)
  end
end
return reply
