-- Read all web hooks, and the registrations and meetings of a server. ARGV: server id.
-- Reply: {hooks as in HGETALL, registrations as in HGETALL, {meeting id, tenant id, ...}}; meetings only
-- if a hook is bound to meetings, since there may be many.
local sid = ARGV[1]
local hooks = call('HGETALL', A .. 'hooks')
local registered = call('HGETALL', A .. 'hooks_on:' .. sid)
local bound = false
for i = 2, #hooks, 2 do
  local hook = cjson.decode(hooks[i])
  bound = bound or hook.meeting_id ~= nil or hook.tenant_id ~= ''
end
local meetings = {}
if bound then
  for _, id in ipairs(call('SMEMBERS', A .. 'meetings_of:' .. sid)) do
    local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'tenant_id')
    if m[1] == sid then
      meetings[#meetings + 1] = id
      meetings[#meetings + 1] = text(m[2])
    end
  end
end
return { hooks, registered, meetings }
