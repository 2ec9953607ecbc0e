-- Claim the leases to poll servers, after watch_pool.lua. Of n running appliances each takes at most its share
-- of the servers. `leases`: server -> the appliance that polls it.
-- ARGV: instance id, lease_ms, server ids... Reply: {mark of the leases as of watch_pool.lua, the ids whose
-- leases are held}.
local me, lease_ms = ARGV[1], ARGV[2]
local key, alive, pollers, changed = A .. 'leases', {}, 0, false
for _, one in ipairs(call('SMEMBERS', A .. 'pollers')) do
  if call('EXISTS', A .. 'poller:' .. one) == 1 then
    alive[one], pollers = true, pollers + 1
  end
end
local owners, wanted, stored = {}, {}, call('HGETALL', key)
for i = 1, #stored, 2 do owners[stored[i]] = stored[i + 1] end
local share = math.ceil((#ARGV - 2) / math.max(1, pollers))
local held, free = {}, {}
for i = 3, #ARGV do
  local id = ARGV[i]
  wanted[id] = true
  if owners[id] == me then
    held[#held + 1] = id
  elseif not alive[owners[id]] then
    free[#free + 1] = id
  end
end
while #held > share do
  call('HDEL', key, table.remove(held))
  changed = true
end
for _, id in ipairs(free) do
  if #held >= share then break end
  held[#held + 1] = id
  call('HSET', key, id, me)
  changed = true
end
-- Servers that a Scalelite has removed. Another appliance may know one that is new.
for id in pairs(owners) do
  if not wanted[id] and call('EXISTS', P .. 'server:' .. id) == 0 then call('HDEL', key, id) end
end
call('PEXPIRE', key, lease_ms)
if changed then note_change('leases') end
return { text(call('HGET', A .. 'changes', 'leases')), held }
