-- Read the states of servers before they are polled. ARGV: for each its id, and whether its mark is wanted (1/0).
-- Reply: for each {state, joins, version of its usage, whether it has registered itself (1 or ''), whether there may
-- be web hooks to register or to remove on it, poll_mark or ''}, or nil if the server was removed.
local reply, hooks = {}, call('EXISTS', A .. 'hooks')
for index = 1, #ARGV, 2 do
  local sid = ARGV[index]
  local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state')
  reply[#reply + 1] = s[1] and { state_of(sid, s[2]), text(call('HGET', A .. 'load:' .. sid, 'joins')),
    text(call('HGET', A .. 'usage_of:' .. sid, 'version')),
    call('HEXISTS', A .. 'registering', sid) == 1 and '1' or '',
    hooks + call('EXISTS', A .. 'hooks_on:' .. sid), ARGV[index + 1] == '1' and poll_mark(sid) or '' }
end
return reply
