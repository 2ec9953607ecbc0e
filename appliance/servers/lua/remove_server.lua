-- Remove a server. Its meetings are not monitored any more: their front-ends are notified that they
-- have ended, in agreement with getMeetingInfo.
-- What its programs send later is still accepted: `retired` (pool/retired.py).
-- ARGV: server id, force (1/0), now_ms, since when a recording that it owes must not be given up, whether to
-- keep it as retired (1/0), whether it must be disabled (1/0). Reply: {-1, 0} unknown; {-2, 0} refused, as it is
-- not disabled; {meetings, recordings} refused because of them; {0, 0} removed.
local sid = ARGV[1]
if call('EXISTS', P .. 'server:' .. sid) == 0 then return { -1, 0 } end
if ARGV[6] == '1' and state_of(sid, call('HGET', P .. 'server:' .. sid, 'state')) ~= 'disabled' then
  return { -2, 0 }
end
local ids = {}
for _, id in ipairs(call('SMEMBERS', P .. 'meetings')) do
  if call('HGET', P .. 'meeting:' .. id, 'server_id') == sid then ids[#ids + 1] = id end
end
local owed = call('ZCOUNT', A .. 'owed:' .. sid, ARGV[4], '+inf')
if ARGV[2] ~= '1' and (#ids > 0 or owed > 0) then return { #ids, owed } end
for _, id in ipairs(ids) do
  local run_ms, ended_url = run_of(id)
  local tenant_id = call('HGET', P .. 'meeting:' .. id, 'tenant_id')
  notify_later(id, run_ms, ended_url, tenant_id, 0)
  end_hooks(id, tenant_id)
  forget(id)
end
local detached = call('HGETALL', A .. 'detached:' .. sid)
for i = 1, #detached, 2 do
  local d = cjson.decode(detached[i + 1])
  if not d.abandoned and has_claim(sid, detached[i]) then
    end_detached(sid, detached[i], d, 0)
    end_hooks(detached[i], d.tenant_id)
    drop_claim(sid, detached[i], d.voice_bridge)
  end
end
if ARGV[5] == '1' then
  local s = call('HMGET', P .. 'server:' .. sid, 'url', 'secret')
  local retired = cjson.encode({ url = text(s[1]), secret = text(s[2]), at = tonumber(ARGV[3]) })
  call('HSET', A .. 'retired', sid, retired)
end
call('DEL', P .. 'server:' .. sid, P .. sid, A .. 'server:' .. sid, A .. 'load:' .. sid, A .. 'meetings_of:' .. sid,
  A .. 'detached:' .. sid, A .. 'suspect:' .. sid, A .. 'hooks_on:' .. sid, A .. 'doubles:' .. sid,
  A .. 'strays:' .. sid)
call('SREM', A .. 'servers', sid)
call('HDEL', A .. 'registering', sid)
call('HDEL', A .. 'leases', sid)
call('HDEL', A .. 'unseen_load', sid)
-- They must not become those of a later server with this id.
local windows = call('HGETALL', A .. 'maintenance')
for i = 1, #windows, 2 do
  if cjson.decode(windows[i + 1]).server_id == sid then call('HDEL', A .. 'maintenance', windows[i]) end
end
call('HDEL', A .. 'maintained', sid)
note_change('servers')
call('SREM', P .. 'servers', sid)
if call('SCARD', P .. 'servers') == 0 then call('SET', A .. 'emptied', 1) end
call('SREM', P .. 'server_enabled', sid)
call('ZREM', P .. 'server_load', sid)
call('ZREM', P .. 'cordoned_server_load', sid)
return { 0, 0 }
