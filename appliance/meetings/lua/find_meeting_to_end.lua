-- Find the meeting that an `end` names: placed, detached from a server that is offline, or a breakout room
-- that a server created itself. ARGV: meeting id, now_ms, scoped id and tenant id (both '' without
-- tenants). Reply: {'placed', 'detached' or 'breakout', record...}, or nil.
local now_ms, scoped, tenant_id = tonumber(ARGV[2]), ARGV[3], ARGV[4]
local id, r = find_record(ARGV[1], scoped, tenant_id)
if r then return { 'placed', unpack(reply_record(id, r, now_ms)) } end

local function find_detached(meeting_id)
  local claim = call('HMGET', A .. 'detached_meeting:' .. meeting_id, 'server_id', 'tenant_id')
  if not claim[1] or text(claim[2]) ~= tenant_id then return nil end
  local entry = call('HGET', A .. 'detached:' .. claim[1], meeting_id)
  local d = entry and cjson.decode(entry)
  if not d or d.abandoned then return nil end
  return record_on(claim[1], d)
end

id, r = scoped, scoped ~= '' and find_detached(scoped)
if not r and (scoped == '' or not needs_scope(ARGV[1], tenant_id)) then id, r = ARGV[1], find_detached(ARGV[1]) end
if r then return { 'detached', unpack(reply_record(id, r, now_ms)) } end
r = find_breakout(ARGV[1], tenant_id)
if r then return { 'breakout', unpack(reply_record(ARGV[1], r, now_ms)) } end
return false
