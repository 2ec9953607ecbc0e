-- Read the records of several meetings.
-- ARGV: now_ms, meeting ids... Reply: the records of those that have one and whose server exists.
local reply = {}
for i = 2, #ARGV do
  local r = read_record(ARGV[i])
  if r and r.url then reply[#reply + 1] = reply_record(ARGV[i], r, tonumber(ARGV[1])) end
end
return reply
