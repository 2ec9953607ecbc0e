-- Add some of the records that are in no index to those of their servers and tenants: a Scalelite on the same stores
-- writes such records, and so did an earlier version. ARGV: cursor of SSCAN ('0' to begin), how many at a time.
-- Reply: the next cursor, '0' after the last part. In parts, since other calls wait for each of them.
local found = call('SSCAN', P .. 'meetings', ARGV[1], 'COUNT', ARGV[2])
local exists = {}
for _, id in ipairs(found[2]) do
  local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'tenant_id')
  local sid = m[1]
  if sid then
    if exists[sid] == nil then exists[sid] = call('EXISTS', P .. 'server:' .. sid) == 1 end
    if exists[sid] then index_meeting(id, sid, m[2]) end
  end
end
if found[1] == '0' then call('SET', A .. 'tenants_indexed', 1) end
return found[1]
