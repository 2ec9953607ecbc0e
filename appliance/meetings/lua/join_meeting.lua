-- Count one user of a meeting. The load of the server rises by one user once the reservation of the
-- meeting is used up or has expired.
-- ARGV: meeting id, scoped id and tenant id (both '' without tenants), now_ms, join_buffer_ms, '1' if the
-- version of the server is wanted, and with weights that of a user.
-- Reply: nil, or the record of that tenant's meeting or breakout room, and if there is more to tell JSON:
-- {bbb_version, near = {{limit, maximum, used}, ...}}. Beyond a limit only JSON: {refused = {limit, maximum,
-- used}}.
local now_ms, buffer_ms = tonumber(ARGV[4]), tonumber(ARGV[5])

local function reply_join(id, r, events)
  local reply = reply_record(id, r, now_ms)
  if ARGV[6] == '1' then events.bbb_version = call('HGET', P .. 'server:' .. r.server_id, 'bbb_version') or nil end
  if next(events) then reply[#reply + 1] = cjson.encode(events) end
  return reply
end

local id, r = find_record(ARGV[1], ARGV[2], ARGV[3])
if not r then
  r = find_breakout(ARGV[1], ARGV[3])
  if not r then return false end
  return reply_join(ARGV[1], r, {})
end
local limits
if r.online and r.state ~= 'disabled' then
  limits = limits_of(ARGV[3], now_ms)
  if limits and not limits.admits_join(id) then return { limits.reply() } end
  local joins = r.joins + 1
  -- A record written by Scalelite has no reservation, so each join counts, as it does in Scalelite.
  if not r.expected or joins > r.expected or now_ms - r.placed_ms > buffer_ms then
    local load = r.multiplier * number(ARGV[7], 1)
    add_load(r.server_id, load)
    call('HINCRBYFLOAT', A .. 'load:' .. r.server_id, 'joins', decimal(r.multiplier))
    add_pending(r.server_id, 0, 1)
    if r.expected then call('HINCRBYFLOAT', A .. 'meeting:' .. id, 'reserved', decimal(load)) end
  end
  if r.expected then call('HINCRBY', A .. 'meeting:' .. id, 'joins', 1) end
end
return reply_join(id, r, limits and limits.events or {})
