-- Make callbacks due whose time lies further ahead than was ever set: the clock was set back.
-- ARGV: now_ms, number of limits, limits in ms (of a claim, then after 0, 1, 2... attempts; the last holds
-- for all others), ids... Reply: how many were made due.
local now, last = tonumber(ARGV[1]), 2 + tonumber(ARGV[2])
local changed = 0
for i = last + 1, #ARGV do
  local id = ARGV[i]
  local key = A .. 'callback:' .. id
  local state, attempts, owner = unpack(call('HMGET', key, 'state', 'attempts', 'owner'))
  local at = number(call('ZSCORE', A .. 'callbacks_due', id), 0)
  local limit = ARGV[owner and 3 or math.min(4 + number(attempts, 0), last)]
  if state == 'pending' and at > now + tonumber(limit) then
    call('HDEL', key, 'owner', 'till')
    call('HSET', key, 'due', decimal(now))
    call('ZADD', A .. 'callbacks_due', decimal(now), id)
    changed = changed + 1
  end
end
return changed
