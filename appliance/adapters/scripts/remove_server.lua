-- ARGV: server id, force (1/0). Reply: {-1} unknown; {n} refused because of n meetings;
-- {0, forgotten} removed.
local sid = ARGV[1]
if call('EXISTS', P .. 'server:' .. sid) == 0 then return { -1 } end
local ids = {}
for _, id in ipairs(call('SMEMBERS', P .. 'meetings')) do
  if call('HGET', P .. 'meeting:' .. id, 'server_id') == sid then ids[#ids + 1] = id end
end
if #ids > 0 and ARGV[2] ~= '1' then return { #ids } end
for _, id in ipairs(ids) do forget(id) end
local detached = call('HGETALL', A .. 'detached:' .. sid)
for i = 1, #detached, 2 do
  local d = cjson.decode(detached[i + 1])
  if not d.abandoned then drop_claim(sid, detached[i], d.voice_bridge) end
end
call('DEL', P .. 'server:' .. sid, P .. sid, A .. 'server:' .. sid, A .. 'load:' .. sid, A .. 'meetings_of:' .. sid,
  A .. 'detached:' .. sid, A .. 'lease:' .. sid, A .. 'suspect:' .. sid, A .. 'hooks_on:' .. sid)
call('SREM', A .. 'servers', sid)
call('SREM', P .. 'servers', sid)
call('SREM', P .. 'server_enabled', sid)
call('ZREM', P .. 'server_load', sid)
call('ZREM', P .. 'cordoned_server_load', sid)
return { 0, #ids }
