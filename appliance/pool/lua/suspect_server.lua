-- Record that a call to a server failed between two polls: placement prefers other servers until the
-- next poll, or for keep_ms. Only failed polls take a server offline: failed calls during a restart of
-- one second must not detach its meetings.
-- ARGV: server id, keep_ms, silent (1/0: there was no answer). Reply: 1, or 0 if it was recorded before.
local key = A .. 'suspect:' .. ARGV[1]
if call('EXISTS', P .. 'server:' .. ARGV[1]) == 0 then return 0 end
local known = call('GET', key)
if known == 'silent' or (known and ARGV[3] ~= '1') then return 0 end
call('SET', key, ARGV[3] == '1' and 'silent' or 'failed', 'PX', ARGV[2])
note_change('servers')
return 1
