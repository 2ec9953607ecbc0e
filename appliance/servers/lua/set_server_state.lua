-- Set the state of a server. ARGV: server id, state.
-- Reply: the previous state, or nil for an unknown server.
local sid, state = ARGV[1], ARGV[2]
local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state')
if not s[1] then return false end
local before = state_of(sid, s[2])
set_state(sid, state)
return before
