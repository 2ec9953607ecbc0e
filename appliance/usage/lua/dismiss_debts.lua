-- Forget recordings that a server owes, and note it for the database. It is remembered for a while, since
-- their runs may not be closed yet, or come back with their server.
-- ARGV: server id, now_ms, internal ids. Reply: 1.
local now_ms, key = tonumber(ARGV[2]), A .. 'dismissed'
local DISMISSED_TTL_S = 7 * 86400
for i = 3, #ARGV do
  change_debts(ARGV[1], { [ARGV[i]] = 0 })
  call('SADD', A .. 'usage_settled', cjson.encode({ ARGV[1], ARGV[i] }))
  call('ZADD', key, decimal(now_ms), ARGV[i])
end
call('ZREMRANGEBYSCORE', key, '-inf', decimal(now_ms - DISMISSED_TTL_S * 1000))
call('EXPIRE', key, DISMISSED_TTL_S)
return 1
