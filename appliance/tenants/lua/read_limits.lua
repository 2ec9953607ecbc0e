-- Read limits and what is in use. ARGV: now_ms; a tenant's id ('' without tenants), or nothing: of all that
-- have limits. Reply: {{tenant id, JSON {limits = {name = maximum}, used = {name = number}}}, ...}.
local now_ms = tonumber(ARGV[1])

local function read(tenant_id)
  local limits = limits_of(tenant_id, now_ms)
  if not limits then return { tenant_id, '{"limits":{},"used":{}}' } end
  local used = {}
  if limits.max.max_meetings then
    used.max_meetings = 0
    for _ in each_meeting(tenant_id) do used.max_meetings = used.max_meetings + 1 end
  end
  if limits.max.max_users then used.max_users = limits.users() end
  if limits.max.max_creates_per_minute then used.max_creates_per_minute = limits.creates() end
  if limits.max.max_recordings_gb then used.max_recordings_gb = limits.recording_gb() end
  local shown = next(used) and cjson.encode(used) or '{}'
  return { tenant_id, '{"limits":' .. cjson.encode(limits.max) .. ',"used":' .. shown .. '}' }
end

if ARGV[2] then return { read(ARGV[2]) } end
local reply = {}
for _, tenant_id in ipairs(call('SMEMBERS', A .. 'limited')) do
  if call('EXISTS', A .. 'limits:' .. tenant_id) == 1 then reply[#reply + 1] = read(tenant_id) end
end
return reply
