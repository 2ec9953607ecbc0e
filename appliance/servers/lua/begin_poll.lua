-- Read the state of a server before a poll. ARGV: server id.
-- Reply: {state, joins, version of its usage, whether it has registered itself (1 or ''), whether there may be web
-- hooks to register or to remove on it}, or nil if the server was removed.
local s = call('HMGET', P .. 'server:' .. ARGV[1], 'url', 'state')
if not s[1] then return false end
return { state_of(ARGV[1], s[2]), text(call('HGET', A .. 'load:' .. ARGV[1], 'joins')),
  text(call('HGET', A .. 'usage_of:' .. ARGV[1], 'version')),
  call('HEXISTS', A .. 'registering', ARGV[1]) == 1 and '1' or '',
  call('EXISTS', A .. 'hooks', A .. 'hooks_on:' .. ARGV[1]) }
