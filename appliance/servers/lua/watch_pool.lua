-- Take part in polling, and tell what has changed. An appliance lives as long as its `poller:` does, which this
-- renews; `leases` (lease_servers.lua) of one that does not live are free.
-- ARGV: instance id, lease_ms, server ids... Reply: {mark of the servers, mark of the leases, mark of the tenants,
-- version of the web hooks, whether a handback is prepared (1/0), whether a version has a share (1/0), {for each of
-- the given servers a mark of what another program may change without a notice, '' if it does not exist}}.
-- A mark that is equal to an earlier one says that nothing has changed: `changes` counts what appliances change; a
-- Scalelite counts nothing, but what it adds, removes, enables or cordons changes the size of a set.
local me, lease_ms, changed = ARGV[1], ARGV[2], false
call('SET', A .. 'poller:' .. me, 1, 'PX', lease_ms)
if call('SADD', A .. 'pollers', me) == 1 then changed = true end
for _, one in ipairs(call('SMEMBERS', A .. 'pollers')) do
  if call('EXISTS', A .. 'poller:' .. one) == 0 then
    call('SREM', A .. 'pollers', one)
    changed = true
  end
end
call('PEXPIRE', A .. 'pollers', lease_ms)
call('PEXPIRE', A .. 'leases', lease_ms)
if changed then note_change('leases') end
local counts = call('HMGET', A .. 'changes', 'servers', 'leases', 'tenants')
local servers = table.concat({ text(counts[1]), call('SCARD', P .. 'servers'), call('SCARD', P .. 'server_enabled'),
  call('ZCARD', P .. 'server_load'), call('ZCARD', P .. 'cordoned_server_load') }, ' ')

local each = {}
for index = 3, #ARGV do
  local id = ARGV[index]
  local s = call('HMGET', P .. 'server:' .. id, 'url', 'secret', 'state', 'online', 'load_multiplier', 'tag', 'bbb_version')
  each[index - 2] = s[1] and table.concat({ s[1], text(s[2]), state_of(id, s[3]), text(s[4]), text(s[5]), text(s[6]),
    text(s[7]), text(call('HGET', P .. id, 'unhealthy_counter')) }, '\0') or ''
end
return { servers, text(counts[2]), text(counts[3]) .. ' ' .. call('SCARD', P .. 'tenants'),
  text(call('GET', A .. 'hook_ids')), call('EXISTS', A .. 'handback'), call('EXISTS', A .. 'version_shares'), each }
