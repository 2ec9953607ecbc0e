-- Record a successful poll. The load of the listed meetings replaces the estimate; reservations of meetings
-- that the poll could not see yet, and joins since it began, are added to it.
-- ARGV[1]: JSON, see observation_arguments in servers/load.py; further ones: what usage was added up, as
-- save_usage in lib.lua takes it. Reply: JSON, see parse_observation; `mark`: poll_mark in lib.lua, if the same list
-- needs not be recorded again as long as that stays so.

local q = cjson.decode(ARGV[1])
local sid, now_ms = q.server_id, q.now_ms
local server_key = P .. 'server:' .. sid
local s = call('HMGET', server_key, 'url', 'state', 'online', 'load_multiplier', 'bbb_version')
if not s[1] then return cjson.encode({ known = false }) end
local state = state_of(sid, s[2])
local changed = q.bbb_version ~= nil and q.bbb_version ~= s[5]
if changed then call('HSET', server_key, 'bbb_version', q.bbb_version) end
if state == 'disabled' then return cjson.encode({ known = false }) end

local FOREIGN_GRACE_MS = 30000
local BREAKOUT_TTL_S = 3600 -- longer than any poll interval
-- A create whose request was abandoned may still arrive at the server this much later.
local ABANDONED_GRACE_MS = 60000

call('SADD', A .. 'servers', sid)
local online, came_online = s[3] == 'true', false
call('HSET', P .. sid, 'unhealthy_counter', 0)
if call('DEL', A .. 'suspect:' .. sid) == 1 then changed = true end -- superseded by this poll
if not online then
  local healthy = call('HINCRBY', P .. sid, 'healthy_counter', 1)
  if healthy >= q.healthy_threshold then
    online, came_online = true, true
    call('HSET', server_key, 'online', 'true')
  end
end
if online then
  call('HSET', server_key, 'meetings', decimal(q.meetings), 'users', decimal(q.users),
    'largest_meeting', decimal(q.largest_meeting), 'videos', decimal(q.videos))
end

local listed, pending_meetings, pending_users, creating_here = {}, 0, 0, false
-- Whether to record the same list later, too, would change nothing.
local settled = online and not came_online and #q.others == 0

local multiplier = multiplier_of(s[4])
local load, seats, contributions, unseen = 0, 0, {}, 0

-- Add a listed meeting to the load and the seats of the server. Of a young meeting that the appliance did not
-- place, Scalelite's formula expects a minimum. An old one without an id stands for several with the same counts.
local function count_load(meeting)
  if meeting.is_breakout then return end
  local expected
  if now_ms - meeting.created_ms < q.join_buffer_ms then
    settled = false
    local a = call('HMGET', A .. 'meeting:' .. meeting.id,
      'expected', 'expected_videos', 'expected_voice', 'unknown_cameras')
    local users = number(a[1], not q.weights and q.min_user_count or nil)
    expected = users and { participants = users, videos = number(a[2], 0), voice = number(a[3], 0) }
    if q.weights and a[4] then
      -- Fewer are still to come the older it is.
      local left = math.min(1, 1 - (now_ms - meeting.created_ms) / q.join_buffer_ms)
      unseen = unseen + multiplier * unseen_load(q.weights, tonumber(a[4]) * left, meeting)
    end
  end
  local own_load, own_seats = load_of(q.weights, meeting, expected, q.moderators_twice)
  local times = meeting.times or 1
  load, seats = load + multiplier * own_load * times, seats + own_seats * times
  if not meeting.id then return end
  -- If a server lists an id twice, both count.
  contributions[meeting.id] = (contributions[meeting.id] or 0) + multiplier * own_load
end

-- Record the peaks of a meeting for the forecast of its next run.
local function remember_size(id, meeting, placement)
  local key = A .. 'size:' .. id
  local size = call('HMGET', key, 'run', 'peak', 'videos', 'voice')
  local new, changes = size[1] ~= placement, {}
  local function remember(name, value, known)
    if new or value > number(known, -1) then
      changes[#changes + 1] = name
      changes[#changes + 1] = decimal(value)
    end
  end
  remember('peak', meeting.participants, size[2])
  if q.weights then
    remember('videos', meeting.videos, size[3])
    remember('voice', meeting.voice, size[4])
  end
  if #changes == 0 then return end
  call('HSET', key, 'run', placement, unpack(changes))
  call('EXPIRE', key, SIZE_TTL_S)
end

local function record_listed(id, meeting, tenant_id)
  local key = A .. 'meeting:' .. id
  local a = call('HMGET', key, 'placement', 'creating', 'placed_ms', 'expected', 'joining', 'users', 'seen_ms')
  if a[5] then
    local seen = meeting.participants - number(a[6], 0)
    local _, kept = count_joining(a[5], now_ms, { began_ms = q.began_ms, seen = seen })
    if kept == '' then call('HDEL', key, 'joining') else call('HSET', key, 'joining', kept) end
    settled = settled and kept == ''
  end
  -- Expected users count towards the limits as they do in the load.
  local pending = 0
  if a[4] and now_ms - number(a[3], 0) < q.join_buffer_ms then
    pending = math.max(0, tonumber(a[4]) - meeting.participants)
  end
  pending_users = pending_users + pending
  index_meeting(id, sid, tenant_id)
  call('HSET', key, 'reserved', decimal(contributions[id] or 0), 'pending', decimal(pending), 'counted', 1,
    'users', decimal(meeting.participants), 'moderators', decimal(meeting.moderators),
    'videos', decimal(meeting.videos), 'name', meeting.name, 'seen_created', decimal(meeting.created_ms),
    'seen_ms', decimal(now_ms), 'recorded', meeting.recorded and 1 or 0)
  if a[2] and tonumber(a[2]) > now_ms then
    creating_here = true
  elseif a[2] then
    -- The request that created it ended before it could confirm it. The meeting runs, so a failing
    -- create must not remove it.
    call('HDEL', key, 'creating')
    call('HSET', key, 'confirmed_ms', decimal(now_ms))
    local wanted = call('HGET', key, 'wanted_url')
    if wanted then call('HSETNX', key, 'ended_url', wanted) end
    call('DEL', A .. 'detached_meeting:' .. id)
  end
  -- A hundredth of the lifetime is exact enough.
  local step_ms = q.ttl_s * 10
  if not a[7] or math.floor(a[7] / step_ms) ~= math.floor(now_ms / step_ms) then
    call('EXPIRE', P .. 'meeting:' .. id, decimal(q.ttl_s))
    call('EXPIRE', key, decimal(q.ttl_s))
  end
  if not a[7] or q.weights or meeting.participants > number(a[6], -1) then remember_size(id, meeting, text(a[1])) end
end

-- A breakout room that the server created itself has no record, but can be found by its id.
local function record_breakout(meeting)
  local key = A .. 'breakout:' .. meeting.id
  call('HSET', key, 'server_id', sid, 'tenant_id', meeting.tenant_id or '')
  call('EXPIRE', key, BREAKOUT_TTL_S)
end

local elsewhere = {} -- {meeting, server of its record}
local owners = {} -- the servers of the records of the listed meetings; false: no record
-- Tenants ('' for none) with meetings here that have no record on this server; '*' tells that it was polled.
local strays = { ['*'] = true }

for _, tenant_id in ipairs(q.stray_tenants) do strays[tenant_id] = true end
for _, meeting in ipairs(q.others) do count_load(meeting) end
for _, meeting in ipairs(q.listed) do
  listed[meeting.id] = meeting
  count_load(meeting)
  local m = call('HMGET', P .. 'meeting:' .. meeting.id, 'server_id', 'tenant_id')
  local owner = m[1]
  owners[meeting.id] = owner
  if owner == sid then
    record_listed(meeting.id, meeting, m[2])
  else
    strays[meeting.tenant_id or ''] = true
    settled = settled and not owner and meeting.is_breakout
    if owner then
      elsewhere[#elsewhere + 1] = { meeting, owner }
    elseif meeting.is_breakout then
      record_breakout(meeting)
    end
  end
end

call('DEL', A .. 'strays:' .. sid)
for tenant_id in pairs(strays) do call('SADD', A .. 'strays:' .. sid, tenant_id) end
call('EXPIRE', A .. 'strays:' .. sid, BREAKOUT_TTL_S)

-- Whether the answer cannot be expected to list a meeting: it was placed or confirmed since the poll
-- began, or is being created. A record written by Scalelite (no placement number) has a grace period.
local function too_young(a)
  local placed_ms = number(a[3], 0)
  if not a[1] and placed_ms + FOREIGN_GRACE_MS >= q.began_ms then return true end
  return number(a[2], 0) > now_ms or placed_ms >= q.began_ms or number(a[4], 0) >= q.began_ms
end

local pending, missing = 0, {}

local function record_missing(id)
  local a = call('HMGET', A .. 'meeting:' .. id,
    'placement', 'creating', 'placed_ms', 'confirmed_ms', 'pending', 'reserved', 'counted', 'unknown_cameras')
  creating_here = creating_here or number(a[2], 0) > now_ms
  if too_young(a) then
    pending = pending + number(a[6], 0)
    pending_meetings = pending_meetings + 1
    if q.weights and a[8] then unseen = unseen + multiplier * unseen_load(q.weights, tonumber(a[8])) end
    pending_users = pending_users + number(a[5], 0)
    if a[7] ~= '1' then call('HSET', A .. 'meeting:' .. id, 'counted', 1) end
  else
    missing[#missing + 1] = { id, number(a[1], 0) }
    call('HDEL', A .. 'meeting:' .. id, 'seen_ms')
    -- The measured load does not contain it, so nothing must be subtracted when it is forgotten.
    if a[1] or a[7] then call('HSET', A .. 'meeting:' .. id, 'reserved', 0, 'pending', 0, 'counted', 0) end
  end
end

for _, id in ipairs(call('SMEMBERS', A .. 'meetings_of:' .. sid)) do
  local owner = owners[id]
  if owner == nil then owner = call('HGET', P .. 'meeting:' .. id, 'server_id') end
  if owner ~= sid then
    call('SREM', A .. 'meetings_of:' .. sid, id)
  elseif not listed[id] then
    record_missing(id)
  end
end

local function take_back(id, d, meeting)
  if d.recorded and tonumber(d.created) == meeting.created_ms then
    change_debts(sid, { [internal_id(id, d.created)] = 0 })
  end
  local fields = { 'server_id', sid, 'moderator_pw', d.moderator_pw, 'voice_bridge', d.voice_bridge }
  if d.tenant_id ~= '' then
    fields[#fields + 1] = 'tenant_id'
    fields[#fields + 1] = d.tenant_id
  end
  call('HSET', P .. 'meeting:' .. id, unpack(fields))
  call('SADD', P .. 'meetings', id)
  call('HSETNX', P .. 'voice_bridges', d.voice_bridge, id)
  -- A record written by Scalelite keeps having no reservation and no placement number.
  local placement = d.expected and call('INCR', A .. 'placements') or 0
  local own = { 'placement', placement, 'confirmed_ms', decimal(now_ms),
    'joins', decimal(d.joins or 0), 'placed_ms', decimal(d.placed_ms or 0) }
  local kept = { expected = d.expected, expected_videos = d.expected_videos, expected_voice = d.expected_voice,
    run_ms = d.run_ms, created = d.created, ended_url = d.ended_url, own_passwords = d.own_passwords and 1 or nil,
    logout_url = d.logout_url, logout_tenant = d.logout_url and d.tenant_id, original_id = d.original_id }
  for name, value in pairs(kept) do
    own[#own + 1] = name
    own[#own + 1] = type(value) == 'number' and decimal(value) or value
  end
  call('DEL', A .. 'meeting:' .. id)
  call('HSET', A .. 'meeting:' .. id, unpack(own))
  record_listed(id, meeting, d.tenant_id)
end

local taken_back, to_end = {}, {}

-- Decide about one detached meeting; return whether that is final, so that its entry can be deleted.
local function resolve_detached(id, d)
  local owner = call('HGET', P .. 'meeting:' .. id, 'server_id')
  if owner == sid then return true end
  if not listed[id] then
    if d.detached_ms + (d.abandoned and ABANDONED_GRACE_MS or 0) >= q.began_ms then return false end
    -- It ended while its server was offline, unless it has been placed again.
    if not owner and has_claim(sid, id) then
      end_detached(sid, id, d, now_ms + q.notify_after_ms)
      if not d.abandoned then end_hooks(id, d.tenant_id) end
    end
    return true
  end
  local newer_home = owner and call('HEXISTS', A .. 'meeting:' .. id, 'creating') == 0
  if d.requested and number(listed[id].created_ms, 0) > number(d.created, math.huge) then
    return true -- a newer run, which did not come through an appliance
  end
  if d.abandoned or newer_home then
    to_end[#to_end + 1] = { id, d.moderator_pw }
    return false
  end
  if owner then return false end -- it is being created on another server; decide later
  if now_ms - d.detached_ms >= DETACHED_TTL_MS then return true end
  if not has_claim(sid, id) then -- it was placed on another server later, and has ended there
    to_end[#to_end + 1] = { id, d.moderator_pw }
    return false
  end
  if runs_to_be_ended(id, now_ms)[sid] then return false end
  take_back(id, d, listed[id])
  taken_back[#taken_back + 1] = id
  return true
end

if online then
  local detached = call('HGETALL', A .. 'detached:' .. sid)
  for i = 1, #detached, 2 do
    local id, d = detached[i], cjson.decode(detached[i + 1])
    if resolve_detached(id, d) then
      call('HDEL', A .. 'detached:' .. sid, id)
      if not d.abandoned then drop_claim(sid, id, d.voice_bridge) end
    end
  end
end

-- Meetings that this server lists although their records name another server, which lists them too, and
-- no failover explains it. `doubles:` remembers what the previous poll saw of them. One without users
-- both times is to be ended ('end_here'), or the copy on the other server, if that is empty
-- ('move_here'). Copies of the same run are one ('same_run'): its server is in the pool twice.
local doubles = {}
local doubles_key = A .. 'doubles:' .. sid

-- Whether to report that two servers are the same, which is done once a day.
local function is_news(first, second)
  if first > second then first, second = second, first end
  return call('SET', A .. 'same_server:' .. first .. ' ' .. second, 1, 'NX', 'EX', DETACHED_TTL_S) ~= false
end

local function compare_double(meeting, owner, before)
  local id = meeting.id
  if call('HEXISTS', A .. 'detached:' .. sid, id) == 1 or runs_to_be_ended(id, now_ms)[sid] then return nil end
  local a = call('HMGET', A .. 'meeting:' .. id, 'creating', 'confirmed_ms', 'seen_ms', 'users', 'joins', 'placement')
  if a[1] or number(a[2], 0) >= q.began_ms then return nil end
  if not a[3] or call('HGET', P .. 'server:' .. owner, 'online') ~= 'true' then return nil end
  if runs_elsewhere(id, sid, decimal(meeting.created_ms)) then
    doubles[#doubles + 1] = { id, owner, number(a[6], 0), 0, is_news(sid, owner) and 1 or 0, 'same_run' }
    -- The build before compares what else there is, and ends nothing with these values.
    return { server = owner, same_run = true, since_ms = now_ms, here = 1, there = 1, joins = -1 }
  end
  local here, there, joined = meeting.participants, number(a[4], 0), number(a[5], 0)
  local action = ''
  if before and before.server == owner and not before.same_run and tonumber(a[3]) > before.since_ms then
    if here == 0 and before.here == 0 then
      action = 'end_here'
    elseif there == 0 and before.there == 0 and joined == before.joins then
      action = 'move_here'
    end
  end
  local new = not before or before.server ~= owner or before.same_run
  doubt_polls(owner) -- what it says of the meeting now decides
  doubles[#doubles + 1] = { id, owner, number(a[6], 0), joined, new and 1 or 0, action }
  return { server = owner, since_ms = new and now_ms or before.since_ms, here = here, there = there, joins = joined }
end

if online and (#elsewhere > 0 or call('EXISTS', doubles_key) == 1) then
  local seen = {}
  for _, found in ipairs(elsewhere) do
    local before = call('HGET', doubles_key, found[1].id)
    seen[found[1].id] = compare_double(found[1], found[2], before and cjson.decode(before))
  end
  call('DEL', doubles_key)
  for id, double in pairs(seen) do call('HSET', doubles_key, id, cjson.encode(double)) end
  if next(seen) then call('EXPIRE', doubles_key, DETACHED_TTL_S) end
end

local joins = math.max(0, number(call('HGET', A .. 'load:' .. sid, 'joins'), 0) - q.joins_before)
load = load + pending + joins * (q.weights and q.weights.user or 1)
local joined = math.floor(joins / multiplier + 0.5)
call('HSET', A .. 'load:' .. sid, 'pending_meetings', decimal(pending_meetings),
  'pending_users', decimal(pending_users + joined))

if unseen > 0 then
  call('HSET', A .. 'unseen_load', sid, decimal(unseen))
  call('EXPIRE', A .. 'unseen_load', UNSEEN_TTL_S)
elseif q.weights then
  call('HDEL', A .. 'unseen_load', sid)
end

-- Cordoned and empty: no seats (a weight may be 0), no users in breakout rooms (which take none), nothing pending.
local auto_disabled = online and state == 'cordoned' and seats == 0 and load == 0 and q.users == 0
  and pending_meetings == 0 and not creating_here
if auto_disabled then
  changed = true
  call('HSET', server_key, 'state', 'disabled')
  call('SREM', P .. 'server_enabled', sid)
  call('ZREM', P .. 'server_load', sid)
  call('ZREM', P .. 'cordoned_server_load', sid)
  settle_counts(sid)
elseif online then
  local set, other = P .. 'server_load', P .. 'cordoned_server_load'
  if state ~= 'enabled' then set, other = other, set end
  call('ZREM', other, sid)
  -- Of a large pool few loads change between two polls, and to read one is cheaper.
  if number(call('ZSCORE', set, sid)) ~= tonumber(decimal(load)) then call('ZADD', set, decimal(load), sid) end
end
if changed or came_online then note_change('servers') end
local parts = {}
for index = 2, #ARGV do parts[#parts + 1] = ARGV[index] end
local usage_saved = #parts > 0 and save_usage(sid, parts) or 0
settled = settled and not creating_here and joins == 0 and unseen == 0 and pending_users == 0
  and pending_meetings == 0 and #missing == 0 and #taken_back == 0 and #to_end == 0
return cjson.encode({ known = true, usage_saved = usage_saved, online = online, came_online = came_online,
  auto_disabled = auto_disabled, load = load, taken_back = taken_back, to_end = to_end, missing = missing,
  doubles = doubles, mark = settled and poll_mark(sid) or '' })
