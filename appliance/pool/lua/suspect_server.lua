-- ARGV: server id, keep_ms, silent (1/0: it gave no answer). A call to it failed between two polls: new
-- meetings go elsewhere until a poll has decided, or keep_ms are over. Only polls count towards
-- offline: a front-end's calls at a server that restarts for a second must not detach its meetings.
-- Reply: 1, 0 if known.
local key = A .. 'suspect:' .. ARGV[1]
if call('EXISTS', P .. 'server:' .. ARGV[1]) == 0 then return 0 end
local known = call('GET', key)
if known == 'silent' or (known and ARGV[3] ~= '1') then return 0 end
call('SET', key, ARGV[3] == '1' and 'silent' or 'failed', 'PX', ARGV[2])
return 1
