-- ARGV: meeting id, server id, placement, until_ms. For creates whose body is still on its way.
-- Reply: 1, or 0 where the record is another one by now.
local r = read_record(ARGV[1])
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) or not r.creating_ms then return 0 end
call('HSET', A .. 'meeting:' .. ARGV[1], 'creating', ARGV[4])
return 1
