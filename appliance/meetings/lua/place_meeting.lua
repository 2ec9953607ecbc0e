-- The placement rule (docs/placement.md): find the meeting, or select a server for it, add its load,
-- reserve its voice bridge number and write its record. All in one step, so that concurrent creates
-- spread over the pool and two creates of one id get the same server.
-- ARGV[1]: JSON, see placement_arguments in meetings/store.py.
-- Reply: {outcome, moved_from or '', record..., and JSON if the tenant has limits or q.versions is given:
-- {max_duration, bbb_version, near = {{limit, maximum, used}, ...}}}. A create beyond a limit gets
-- {'limited', '', JSON {refused = {limit, maximum, used}}}.

local q = cjson.decode(ARGV[1])
local id = kept_id(q.id, text(q.scoped_id), q.tenant_id)
local CHUNK = 32
local WORST_RANK = 16

-- A number of another meeting is only taken where a sweep would free it, by the same rule.
local function take_voice_bridge(first)
  local key, candidates = P .. 'voice_bridges', q.voice_bridges
  if first and first ~= '' then table.insert(candidates, 1, first) end
  for _, candidate in ipairs(candidates) do
    if call('HSETNX', key, candidate, id) == 1 then return candidate end
    local owner = call('HGET', key, candidate)
    if owner == id then return candidate end
    if is_stale_bridge(candidate, owner, q.now_ms, q.sweep_grace_ms) then
      call('HSET', key, candidate, id)
      return candidate
    end
  end
  return nil
end

-- What the meeting is expected to reach. Cameras and voices are known from its last run only, and are needed
-- only with weights.
local function forecast()
  local users = q.min_user_count
  if not q.forecast then return { participants = users } end
  local size = q.weights and call('HMGET', A .. 'size:' .. id, 'peak', 'videos', 'voice')
    or { not q.size_hint and call('HGET', A .. 'size:' .. id, 'peak') }
  users = math.max(users, math.min(q.size_hint or number(size[1], 0), q.size_cap))
  if q.max_participants then users = math.min(users, q.max_participants) end
  local function at_most(known) return math.min(number(known, 0), users) end
  return { participants = users, videos = at_most(size[2]), voice = at_most(size[3]) }, size
end

-- What the meeting may reach, for the choice among unequal servers: what is not known of it is assumed to be
-- much, so that a strong server gets it.
local function worst_case(counts, size)
  local users = counts.participants
  if not q.size_hint and not (size and size[1]) then users = math.max(users, 8 * q.min_user_count) end
  if q.max_participants then users = math.min(users, q.max_participants) end
  local known = size and size[2]
  return { participants = users, videos = known and counts.videos or users / 2,
    voice = known and counts.voice or users / 2 }
end

-- Cameras, each with a microphone, that a meeting may have of which nothing is known. They are no part of a load,
-- which is what was seen and reserved, but of the choice among unequal servers: the strong ones get most of these
-- meetings, and would be the fullest if each counted as one of listeners. Equal ones share them evenly.
local function unknown_cameras(counts, size)
  if not q.weights or not size or size[2] then return 0 end
  return math.min(counts.participants, q.min_user_count) / 2
end

local function read_unseen()
  local unseen, stored = {}, q.weights and call('HGETALL', A .. 'unseen_load') or {}
  for i = 1, #stored, 2 do unseen[stored[i]] = tonumber(stored[i + 1]) end
  return unseen
end

local function below_limits(server_id, polled_meetings, polled_users)
  local limits = call('HMGET', A .. 'server:' .. server_id, 'max_meetings', 'max_users')
  local max_meetings, max_users = number(limits[1], nil), number(limits[2], nil)
  if not max_meetings and not max_users then return true end
  local pending = call('HMGET', A .. 'load:' .. server_id, 'pending_meetings', 'pending_users')
  local meetings = number(polled_meetings, 0) + number(pending[1], 0)
  local users = number(polled_users, 0) + number(pending[2], 0)
  return meetings < (max_meetings or math.huge) and users < (max_users or math.huge)
end

-- Return 0: the requested tag; 1: an untagged server instead; nil: not eligible.
local function tag_rank(tag)
  if tag == '' then tag = false end
  if not q.tags then
    if tag then return nil end
    return 0
  end
  for _, wanted in ipairs(q.tags) do
    if (wanted == 'none' and not tag) or wanted == tag then return 0 end
  end
  if not q.tag_required and not tag then return 1 end
  return nil
end

-- Shares of versions (docs/fleet.md), in parts of WHOLE, only read if q.shares. Each new meeting adds the
-- share of a version to its credit, and a meeting that is placed there takes WHOLE from it.
local WHOLE = 10000
local shares, credits, gain = nil, nil, 1
if q.shares and not q.only_server then
  local stored = call('HGETALL', A .. 'version_shares')
  for i = 1, #stored, 2 do
    shares, credits = shares or {}, credits or {}
    shares[stored[i]] = tonumber(stored[i + 1])
    credits[stored[i]] = number(call('HGET', A .. 'version_credits', stored[i]), 0)
  end
end

-- Whether a server of this version would get more than its share with this meeting.
local function exceeds_share(version)
  local share = version and shares[version]
  return share and (share == 0 or credits[version] + gain * share < WHOLE)
end

local function count_for_shares(chosen_version)
  for version, share in pairs(shares) do
    local credit = credits[version] + gain * share
    if version == chosen_version then credit = math.max(0, credit - WHOLE) end
    -- Bounded, so that a version that got none for a while does not get many at once.
    call('HSET', A .. 'version_credits', version, decimal(math.min(credit, 2 * WHOLE)))
  end
end

-- Ranks: tag (0, 1); +2 unstable (selected only if no stable server is left); +4 a server on which a
-- create of this meeting just failed ambiguously, or where an earlier run is still to be ended, since
-- that `end` could hit the new run. So a stable untagged server is preferred to an unstable one with
-- the tag, unless the tag is required. A server that an `end` of this meeting may still reach, of any of
-- its runs, is not eligible: if there is no other, the create waits ('ending'). +8 a version beyond its
-- share: no create is refused because of one.
-- With weights the load of a server is judged as it could be with this meeting: of unequal servers a strong one
-- gets the large classes, and those of which nothing is known.
local avoided = call('GET', A .. 'avoid:' .. id)
local forecast_counts, own_load, worst_load -- of this meeting, once it is to be placed
local unseen = {} -- of servers, what their new meetings may still add (unknown_cameras)
local weakest, strongest = 0, math.huge -- multipliers of the servers that were considered
local found_any, best, best_rank, best_load = false, {}, WORST_RANK, nil
local ending, must_wait = {}, false

local function consider(server_id, load)
  if q.excluded[server_id] then return end
  local s = call('HMGET', P .. 'server:' .. server_id,
    'url', 'state', 'online', 'tag', 'load_multiplier', 'meetings', 'users')
  if not s[1] or s[3] ~= 'true' or state_of(server_id, s[2]) ~= 'enabled' then return end
  local rank = tag_rank(s[4])
  if not rank and found_any then return end
  if best_load and rank and rank >= best_rank and load > best_load then return end
  if not below_limits(server_id, s[6], s[7]) then return end
  found_any = true
  if not rank then return end
  if ending[server_id] then
    must_wait = true
    return
  end
  if is_unstable(call('HGET', P .. server_id, 'unhealthy_counter'), call('GET', A .. 'suspect:' .. server_id)) then
    rank = rank + 2
  end
  local left = call('HGET', A .. 'detached:' .. server_id, id)
  if left or avoided == server_id then rank = rank + 4 end
  local version = shares and call('HGET', P .. 'server:' .. server_id, 'bbb_version')
  if shares and exceeds_share(version) then rank = rank + 8 end
  local multiplier = multiplier_of(s[5])
  weakest, strongest = math.max(weakest, multiplier), math.min(strongest, multiplier)
  if worst_load then load = load + worst_load * multiplier + (unseen[server_id] or 0) end
  if rank < best_rank or (rank == best_rank and load < best_load) then best, best_rank, best_load = {}, rank, load end
  if rank == best_rank and load == best_load then
    best[#best + 1] = { id = server_id, multiplier = multiplier, left = left, version = version }
  end
end

-- With very many equally loaded servers (a large idle pool) it is enough to consider some of them, from
-- a random position on; reading a thousand would take milliseconds. Returns the rest of the random
-- number, for the choice among those.
local function consider_some_of_equals()
  local least = call('ZRANGE', P .. 'server_load', 0, 0, 'WITHSCORES')
  if #least == 0 then return q.tie_breaker end
  local places = call('ZCOUNT', P .. 'server_load', '-inf', least[2]) - CHUNK + 1
  if places <= CHUNK then return q.tie_breaker end
  local from = math.floor(q.tie_breaker * places)
  for _, server_id in ipairs(call('ZRANGE', P .. 'server_load', decimal(from), decimal(from + CHUNK - 1))) do
    consider(server_id, tonumber(least[2]))
  end
  return q.tie_breaker * places - from
end

-- Least loaded first, in chunks, so that only the head of a large pool is read.
local function consider_all()
  best, best_rank, best_load = {}, WORST_RANK, nil
  local from = 0
  while true do
    local chunk = call('ZRANGE', P .. 'server_load', decimal(from), decimal(from + CHUNK - 1), 'WITHSCORES')
    if #chunk == 0 then return end
    for i = 1, #chunk, 2 do
      local load = tonumber(chunk[i + 1])
      if best_rank == 0 and load > best_load then return end
      consider(chunk[i], load)
    end
    from = from + CHUNK
  end
end

-- A breakout room must be on the server of its parent, whatever the tag, the load and the limits.
local function only_server()
  local s = call('HMGET', P .. 'server:' .. q.only_server, 'url', 'state', 'online', 'load_multiplier')
  if q.excluded[q.only_server] or not s[1] or s[3] ~= 'true' then return nil end
  if state_of(q.only_server, s[2]) == 'disabled' then return nil end
  if ending[q.only_server] then
    must_wait = true
    return nil
  end
  local left = call('HGET', A .. 'detached:' .. q.only_server, id)
  return { id = q.only_server, multiplier = multiplier_of(s[4]), left = left }
end

local function choose_server()
  if q.only_server then return only_server() end
  local tie_breaker = consider_some_of_equals()
  if best_rank > 0 then
    tie_breaker = q.tie_breaker
    consider_all()
  end
  return best[math.floor(tie_breaker * #best) + 1]
end

local limits = limits_of(q.tenant_id, q.now_ms)

local function reply_placement(outcome, moved_from, record)
  local reply = { outcome, moved_from, unpack(reply_record(id, record, q.now_ms)) }
  if limits or q.versions then
    local more = limits and limits.events or {}
    more.max_duration = limits and limits.max.max_duration
    more.bbb_version = q.versions and call('HGET', P .. 'server:' .. record.server_id, 'bbb_version') or nil
    reply[#reply + 1] = cjson.encode(more)
  end
  return reply
end

local record = read_record(id)
local moved_from = ''
if record then
  local r = q.replaces
  local lost = not record.url or not record.online or record.state == 'disabled'
  local foreign = record.tenant_id ~= q.tenant_id
  -- A record whose server was removed counts as unknown and belongs to no tenant.
  if foreign and record.url then return { 'foreign', '' } end
  local replace = r and record.server_id == r.server_id and record.placement == r.placement
    and record.creating_ms ~= nil
  if not replace and not lost then
    return reply_placement('known', '', record)
  end
  if foreign then
    forget(id)
    record = nil
  elseif not replace then
    moved_from = record.server_id
  end
end

-- A meeting that is placed again does not count as another one.
if limits and not record and not limits.admits_create(q.recorded) then
  return { 'limited', '', limits.reply() }
end

for server_id, runs in pairs(runs_to_be_ended(id, q.now_ms)) do ending[server_id] = runs[''] end
if record then gain = 0 end -- it was counted when it was placed first
local size
forecast_counts, size = forecast()
own_load = load_of(q.weights, nil, forecast_counts)
worst_load = q.weights and load_of(q.weights, nil, worst_case(forecast_counts, size))
unseen = read_unseen()
local chosen = choose_server()
if not chosen then
  if must_wait then return { 'ending', '' } end
  if found_any and q.tag_required then return { 'no_tagged_server', '' } end
  return { 'no_server', '' }
end

-- What an earlier create left on the chosen server, so that BBB takes this one for its repeat.
local left = chosen.left and cjson.decode(chosen.left)
if left and left.tenant_id ~= q.tenant_id then left = nil end
if left and left.requested then
  return { 'end_first', '', unpack(reply_record(id, record_on(chosen.id, left), q.now_ms)) }
end

local kept_pw, kept_bridge
if record then
  kept_pw, kept_bridge = record.moderator_pw, record.voice_bridge
elseif left then
  kept_pw, kept_bridge = left.moderator_pw, left.voice_bridge
else
  local earlier = call('HMGET', A .. 'detached_meeting:' .. id, 'moderator_pw', 'voice_bridge', 'tenant_id')
  if text(earlier[3]) == q.tenant_id then kept_pw, kept_bridge = earlier[1], earlier[2] end
end
if kept_pw == '' then kept_pw = nil end

local voice_bridge = take_voice_bridge(kept_bridge)
if not voice_bridge then return { 'no_voice_bridge', '' } end

if record then
  -- Even if the request that replaces a record being created was not sent, others may have been.
  if moved_from ~= '' or record.creating_ms then detach(id, record, q.now_ms, moved_from == '') end
  uncount(record.server_id, id)
end
local create_counted = limits and record and record.creating_ms
  and call('HGET', A .. 'meeting:' .. id, 'create_counted')
-- The appliance's key may remain of a record that a Scalelite on the same stores removed.
call('DEL', P .. 'meeting:' .. id, A .. 'meeting:' .. id)
if record and record.voice_bridge ~= voice_bridge then free_voice_bridge(id, record.voice_bridge) end

local expected = forecast_counts.participants
local load = own_load * chosen.multiplier
local placement = call('INCR', A .. 'placements')
local fields = { 'server_id', chosen.id, 'moderator_pw', q.moderator_pw or kept_pw or q.new_moderator_pw,
  'voice_bridge', voice_bridge }
if q.tenant_id ~= '' then
  fields[#fields + 1] = 'tenant_id'
  fields[#fields + 1] = q.tenant_id
end
call('HSET', P .. 'meeting:' .. id, unpack(fields))
call('HSET', A .. 'meeting:' .. id, 'placement', placement, 'creating', decimal(q.creating_until_ms),
  'expected', decimal(expected), 'joins', 0, 'placed_ms', decimal(q.now_ms), 'reserved', decimal(load),
  'pending', decimal(expected), 'counted', 1, 'own_passwords', q.own_passwords and 1 or 0)
if q.recorded then call('HSET', A .. 'meeting:' .. id, 'recorded', 1) end
if q.weights then
  call('HSET', A .. 'meeting:' .. id, 'expected_videos', decimal(forecast_counts.videos or 0),
    'expected_voice', decimal(forecast_counts.voice or 0))
  local cameras = unknown_cameras(forecast_counts, size)
  local more = unseen_load(q.weights, cameras) * chosen.multiplier
  if more > 0 and strongest < weakest then
    call('HSET', A .. 'meeting:' .. id, 'unknown_cameras', decimal(cameras))
    call('HINCRBYFLOAT', A .. 'unseen_load', chosen.id, decimal(more))
    call('EXPIRE', A .. 'unseen_load', UNSEEN_TTL_S)
  end
end
if moved_from ~= '' then call('HSET', A .. 'meeting:' .. id, 'moved_from', moved_from) end
-- For people whose join fails (meetings/join_failure.py).
if q.logout_url then
  call('HSET', A .. 'meeting:' .. id, 'logout_url', q.logout_url, 'logout_tenant', q.tenant_id)
end
-- Where the stored id holds only a hash of it, for list_known_meetings.lua.
if id ~= q.id and string.sub(id, 1, #q.id + 1) ~= q.id .. '~' then
  call('HSET', A .. 'meeting:' .. id, 'original_id', q.id)
end
-- For a meeting that is known to run although its create was never confirmed (observe_server.lua).
if q.ended_url then call('HSET', A .. 'meeting:' .. id, 'wanted_url', q.ended_url) end
call('EXPIRE', P .. 'meeting:' .. id, decimal(q.ttl_s))
call('EXPIRE', A .. 'meeting:' .. id, decimal(q.ttl_s))
call('SADD', P .. 'meetings', id)
index_meeting(id, chosen.id, q.tenant_id)
if limits and not record then limits.count_create(id) end
if create_counted then call('HSET', A .. 'meeting:' .. id, 'create_counted', create_counted) end
add_pending(chosen.id, 1, expected)
add_load(chosen.id, load)
if shares then count_for_shares(chosen.version) end
return reply_placement('placed', moved_from, read_record(id))
