-- Record a registration of a web hook on a server, or delete its record if the JSON is empty.
-- ARGV: server id, URL, JSON. Reply: 1, or 0 if the server was removed from the pool.
local sid, key = ARGV[1], A .. 'hooks_on:' .. ARGV[1]
if ARGV[3] == '' then return call('HDEL', key, ARGV[2]) end
if call('EXISTS', P .. 'server:' .. sid) == 0 then return 0 end
call('HSET', key, ARGV[2], ARGV[3])
call('SADD', A .. 'servers', sid)
return 1
