-- Read what is known of the meetings of servers that do not answer: their records as of the last poll,
-- and what was detached when a server went offline and would be taken back.
-- ARGV: server ids...
-- Reply: {{id, tenant id, name, createTime, users, moderators, videos, voice bridge, original id}, ...}; unknown
-- texts are ''.
local FIELDS = { 'name', 'seen_created', 'users', 'moderators', 'videos', 'created', 'creating', 'original_id' }
local reply = {}

local function add(id, tenant_id, voice_bridge, a, original_id)
  reply[#reply + 1] = { id, text(tenant_id), text(a[1]), text(a[2] or a[6]), text(a[3]), text(a[4]),
    text(a[5]), text(voice_bridge), text(original_id) }
end

for _, sid in ipairs(ARGV) do
  for _, id in ipairs(call('SMEMBERS', A .. 'meetings_of:' .. sid)) do
    local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'tenant_id', 'voice_bridge')
    if m[1] == sid then
      local a = call('HMGET', A .. 'meeting:' .. id, unpack(FIELDS))
      if not a[7] then add(id, m[2], m[3], a, a[8]) end
    end
  end
  local detached = call('HGETALL', A .. 'detached:' .. sid)
  for i = 1, #detached, 2 do
    local id, d = detached[i], cjson.decode(detached[i + 1])
    if not d.abandoned and has_claim(sid, id) and call('EXISTS', P .. 'meeting:' .. id) == 0 then
      local seen = d.seen or {}
      for index, value in ipairs(seen) do seen[index] = value ~= '' and value end
      add(id, d.tenant_id, d.voice_bridge, seen, d.original_id)
    end
  end
end
return reply
