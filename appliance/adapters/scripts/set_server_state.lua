-- ARGV: server id, state. Reply: the state before, or nil for an unknown server.
local sid, state = ARGV[1], ARGV[2]
local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state')
if not s[1] then return false end
local before = state_of(sid, s[2])
call('HSET', P .. 'server:' .. sid, 'state', state)
local load = call('ZSCORE', P .. 'server_load', sid) or call('ZSCORE', P .. 'cordoned_server_load', sid)
call('ZREM', P .. 'server_load', sid)
call('ZREM', P .. 'cordoned_server_load', sid)
if state == 'enabled' then
  call('SADD', P .. 'server_enabled', sid)
  if load then call('ZADD', P .. 'server_load', load, sid) end
else
  call('SREM', P .. 'server_enabled', sid)
  if state == 'cordoned' and load then call('ZADD', P .. 'cordoned_server_load', load, sid) end
end
return before
