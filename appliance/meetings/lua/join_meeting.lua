-- ARGV: meeting id, scoped id and tenant id (both '' without tenants), now_ms, join_buffer_ms.
-- Reply: the record of that tenant's meeting, or nil.
-- Raises the load of the server by one user once the reservation is used up or has lapsed.
local now_ms, buffer_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local id, r = find_record(ARGV[1], ARGV[2], ARGV[3])
if not r then return false end
if r.online and r.state ~= 'disabled' then
  local joins = r.joins + 1
  -- A record of Scalelite's has no reservation of ours: each of its joins counts, as there.
  if not r.expected or joins > r.expected or now_ms - r.placed_ms > buffer_ms then
    add_load(r.server_id, r.multiplier)
    call('HINCRBYFLOAT', A .. 'load:' .. r.server_id, 'joins', decimal(r.multiplier))
    add_pending(r.server_id, 0, 1)
    if r.expected then call('HINCRBYFLOAT', A .. 'meeting:' .. id, 'reserved', decimal(r.multiplier)) end
  end
  if r.expected then call('HINCRBY', A .. 'meeting:' .. id, 'joins', 1) end
end
return reply_record(id, r, now_ms)
