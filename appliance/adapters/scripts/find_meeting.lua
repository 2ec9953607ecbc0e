-- ARGV: meeting id, now_ms. Reply: the record, or nil. A record whose server was removed counts
-- as unknown and is cleaned up (Scalelite keeps such ids stuck for a day).
local id, now_ms = ARGV[1], tonumber(ARGV[2])
local r = read_record(id)
if not r then return false end
if not r.url then
  forget(id)
  return false
end
return reply_record(id, r, now_ms)
