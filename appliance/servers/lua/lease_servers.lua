-- Claim and renew the leases to poll servers. Of n running appliances each takes at most its share of
-- the servers; the leases of a dead one expire.
-- ARGV: instance id, now_ms, lease_ms, server ids... Reply: the ids whose leases are held.
local me, now_ms, lease_ms = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
call('ZADD', A .. 'instances', decimal(now_ms), me)
call('ZREMRANGEBYSCORE', A .. 'instances', '-inf', decimal(now_ms - lease_ms))
call('PEXPIRE', A .. 'instances', lease_ms)
local share = math.ceil((#ARGV - 3) / math.max(1, call('ZCARD', A .. 'instances')))
local held, free = {}, {}
for i = 4, #ARGV do
  local owner = call('GET', A .. 'lease:' .. ARGV[i])
  if owner == me then
    held[#held + 1] = ARGV[i]
  elseif not owner then
    free[#free + 1] = ARGV[i]
  end
end
while #held > share do call('DEL', A .. 'lease:' .. table.remove(held)) end
for _, id in ipairs(free) do
  if #held >= share then break end
  held[#held + 1] = id
end
for _, id in ipairs(held) do call('SET', A .. 'lease:' .. id, me, 'PX', lease_ms) end
return held
