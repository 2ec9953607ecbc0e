-- Read the states of servers before they are polled. ARGV: server ids.
-- Reply: for each {state, joins, version of its usage, whether it has registered itself (1 or ''), whether there may
-- be web hooks to register or to remove on it, poll_mark}, or nil if the server was removed.
local reply, hooks = {}, call('EXISTS', A .. 'hooks')
for index, sid in ipairs(ARGV) do
  local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state')
  reply[index] = s[1] and { state_of(sid, s[2]), text(call('HGET', A .. 'load:' .. sid, 'joins')),
    text(call('HGET', A .. 'usage_of:' .. sid, 'version')),
    call('HEXISTS', A .. 'registering', sid) == 1 and '1' or '',
    hooks + call('EXISTS', A .. 'hooks_on:' .. sid), poll_mark(sid) }
end
return reply
