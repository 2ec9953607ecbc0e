-- Record a failed poll. At the threshold the server goes offline and its meetings are detached: their
-- records are deleted, but remembered with the server. Meetings being created at that time follow at a
-- later poll. A disabled server, which is only asked for its version, goes offline as well; once it is
-- offline, its failures are not counted (see reach_server.lua). If the state of the server was changed
-- during the poll, nothing is recorded.
-- ARGV: server id, now_ms, unhealthy_threshold, disabled (1/0) when the poll began.
-- Reply: {unhealthy_counter, went_offline, detached} or nil.
local sid, now_ms = ARGV[1], tonumber(ARGV[2])
local server_key = P .. 'server:' .. sid
local s = call('HMGET', server_key, 'url', 'state', 'online')
if not s[1] then return false end
local disabled = state_of(sid, s[2]) == 'disabled'
if disabled ~= (ARGV[4] == '1') or (disabled and s[3] ~= 'true') then return false end
call('HSET', P .. sid, 'healthy_counter', 0)
local unhealthy = call('HINCRBY', P .. sid, 'unhealthy_counter', 1)
call('DEL', A .. 'suspect:' .. sid) -- superseded by this poll
local was_online = s[3] == 'true'
if was_online or unhealthy == 1 then note_change('servers') end
if was_online and unhealthy < tonumber(ARGV[3]) then return { unhealthy, 0, 0 } end

-- When the server goes offline, the whole set: a Scalelite on the same stores places meetings too.
-- Later polls need only the index of the server, which is cheap when it is empty.
local ids = call('SMEMBERS', was_online and P .. 'meetings' or A .. 'meetings_of:' .. sid)
if was_online then
  call('HSET', server_key, 'online', 'false', 'meetings', 0, 'users', 0, 'largest_meeting', 0, 'videos', 0)
  call('DEL', A .. 'doubles:' .. sid)
  call('ZREM', P .. 'server_load', sid)
  call('ZREM', P .. 'cordoned_server_load', sid)
end
local detached = 0
for _, id in ipairs(ids) do
  if call('HGET', P .. 'meeting:' .. id, 'server_id') == sid then
    local r = read_record(id)
    if not is_creating(r, now_ms) then
      detach(id, r, now_ms, false)
      forget(id)
      detached = detached + 1
    end
  end
end
return { unhealthy, was_online and 1 or 0, detached }
