-- Record that a disabled server answered. It was only asked for its version, which needs no secret, so
-- a server that was never polled stays offline until it is enabled; only one that was online before can
-- come online again. ARGV: server id, healthy_threshold. Reply: 1 if it is online again, else 0.
local sid = ARGV[1]
local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state', 'online')
if not s[1] or state_of(sid, s[2]) ~= 'disabled' then return 0 end
if number(call('HGET', P .. sid, 'unhealthy_counter'), 0) == 0 then return 0 end
if s[3] ~= 'true' then
  if call('HINCRBY', P .. sid, 'healthy_counter', 1) < tonumber(ARGV[2]) then return 0 end
  call('HSET', P .. 'server:' .. sid, 'online', 'true')
end
note_change('servers')
call('HSET', P .. sid, 'unhealthy_counter', 0)
return s[3] == 'true' and 0 or 1
