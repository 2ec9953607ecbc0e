-- Claim callbacks that are due. The lease is their position in `callbacks_due`.
-- ARGV: owner, now_ms, lease_ms, limit, retries (1: also those with attempts), receivers with the maximum
-- number of concurrent calls... Reply: {id, fields and values of its hash} for each.
local owner, now, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local SEEN = 1000
local full, found = {}, {}
for i = 6, #ARGV do full[ARGV[i]] = true end
for _, id in ipairs(call('ZRANGEBYSCORE', A .. 'callbacks_due', '-inf', decimal(now), 'LIMIT', 0, SEEN)) do
  if #found >= limit then break end
  local key = A .. 'callback:' .. id
  local host, attempts = unpack(call('HMGET', key, 'host', 'attempts'))
  if not host then
    call('ZREM', A .. 'callbacks_due', id)
  elseif not full[host] and (ARGV[5] == '1' or attempts == '0') then
    local till = decimal(now + tonumber(ARGV[3]))
    call('ZADD', A .. 'callbacks_due', till, id)
    call('HSET', key, 'owner', owner, 'till', till)
    found[#found + 1] = { id, call('HGETALL', key) }
  end
end
return found
