-- What a failed poll changes. ARGV: server id, now_ms, unhealthy_threshold, 1 if it was disabled.
-- At the threshold the server goes offline and its meetings are detached: they no longer count
-- as known, but are remembered with it. Those being created just then follow with a later poll.
-- A disabled server, which was only asked for its version, goes offline as well; offline, it is
-- not counted (see reach_server.lua). One whose state was changed meanwhile is left alone.
-- Reply: {unhealthy_counter, went_offline, detached} or nil.
local sid, now_ms = ARGV[1], tonumber(ARGV[2])
local server_key = P .. 'server:' .. sid
local s = call('HMGET', server_key, 'url', 'state', 'online')
if not s[1] then return false end
local disabled = state_of(sid, s[2]) == 'disabled'
if disabled ~= (ARGV[4] == '1') or (disabled and s[3] ~= 'true') then return false end
call('HSET', P .. sid, 'healthy_counter', 0)
local unhealthy = call('HINCRBY', P .. sid, 'unhealthy_counter', 1)
call('DEL', A .. 'suspect:' .. sid) -- this poll has decided
local was_online = s[3] == 'true'
if was_online and unhealthy < tonumber(ARGV[3]) then return { unhealthy, 0, 0 } end

-- The whole set where it goes offline: a Scalelite beside us places meetings too. Later our own
-- index is enough, which costs nothing when it is empty.
local ids = call('SMEMBERS', was_online and P .. 'meetings' or A .. 'meetings_of:' .. sid)
if was_online then
  call('HSET', server_key, 'online', 'false', 'meetings', 0, 'users', 0, 'largest_meeting', 0, 'videos', 0)
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
