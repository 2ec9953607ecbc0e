-- Count a poll of a server that has registered itself and is disabled, and enable it after enough good
-- ones in a row. ARGV: server id, good (1/0), needed. Reply: -1 if it does not wait for that (any more),
-- 1 if it was enabled, else 0.
local sid = ARGV[1]
if call('HEXISTS', A .. 'registering', sid) == 0 then return -1 end
local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state')
if not s[1] or state_of(sid, s[2]) ~= 'disabled' then
  call('HDEL', A .. 'registering', sid)
  return -1
end
if ARGV[2] ~= '1' then
  call('HSET', A .. 'registering', sid, 0)
  return 0
end
if call('HINCRBY', A .. 'registering', sid, 1) < tonumber(ARGV[3]) then return 0 end
set_state(sid, 'enabled')
return 1
