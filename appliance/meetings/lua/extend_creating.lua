-- Extend the creating deadline of a record while the body of its create is being uploaded.
-- ARGV: meeting id, server id, placement, until_ms. Reply: 1, or 0 if the record has changed since.
local r = read_record(ARGV[1])
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) or not r.creating_ms then return 0 end
call('HSET', A .. 'meeting:' .. ARGV[1], 'creating', ARGV[4])
return 1
