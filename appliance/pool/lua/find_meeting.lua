-- Find the record of a meeting.
-- ARGV: meeting id, now_ms; optionally scoped id and tenant id (both '' without tenants), to find only
-- a meeting of that tenant, and 1 to find a server's own breakout room as well.
-- Reply: the record, or nil.
local id, now_ms = ARGV[1], tonumber(ARGV[2])
local r
if ARGV[4] then
  id, r = find_record(id, ARGV[3], ARGV[4])
  if not r and ARGV[5] == '1' then id, r = ARGV[1], find_breakout(ARGV[1], ARGV[4]) end
else
  r = read_living(id)
end
if not r then return false end
return reply_record(id, r, now_ms)
