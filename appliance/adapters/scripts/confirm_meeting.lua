-- ARGV: meeting id, server id, placement, now_ms, ttl_s. Reply: 1, or 0 where the record is
-- another one by now (the caller re-reads it and follows).
local id = ARGV[1]
local r = read_record(id)
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) then return 0 end
if r.creating_ms then
  call('HDEL', A .. 'meeting:' .. id, 'creating')
  call('HSET', A .. 'meeting:' .. id, 'confirmed_ms', ARGV[4])
  -- It lives here now: wherever it was before, it is ended there.
  call('DEL', A .. 'detached_meeting:' .. id)
  call('EXPIRE', P .. 'meeting:' .. id, ARGV[5])
  call('EXPIRE', A .. 'meeting:' .. id, ARGV[5])
end
return 1
