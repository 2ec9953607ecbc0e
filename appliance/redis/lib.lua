-- Definitions shared by all scripts. The loader puts those that a script uses, directly or through others,
-- in front of it (load_scripts in scripts.py): each begins with `local` in the first column.
-- KEYS[1] is the namespace with its colon ("scalelite:"). P is the prefix of Scalelite's keys, whose
-- hashes must get no further fields (Scalelite rejects unknown ones); A is that of the appliance's.
-- Times are milliseconds since the epoch and arguments of the caller.

local call = redis.call
local P = KEYS[1]
local A = P .. 'appliance:'
local DETACHED_TTL_S = 86400
local DETACHED_TTL_MS = DETACHED_TTL_S * 1000
local SIZE_TTL_S = 60 * 86400
local TENANT_INDEX_TTL_S = 30 * 86400

local function number(value, default)
  return tonumber(value) or default
end

local function text(value)
  return value or ''
end

-- Format a number: integers with all digits (a time has 13) and without exponent.
local function decimal(value)
  if value == math.floor(value) and math.abs(value) < 1e15 then return string.format('%.0f', value) end
  return string.format('%.12g', value)
end

-- Return the name of a parameter as BBB takes it: that of metadata in lower case.
local function plain_name(param)
  return string.sub(param, 1, 5) == 'meta_' and string.lower(param) or param
end

local STATES = { enabled = true, cordoned = true, disabled = true }

-- Old records have no `state`: then membership in server_enabled means enabled. An unknown word means
-- disabled, the safe choice.
local function state_of(id, stored)
  if stored then return STATES[stored] and stored or 'disabled' end
  if call('SISMEMBER', P .. 'server_enabled', id) == 1 then return 'enabled' end
  return 'disabled'
end

-- Count a change of the list of servers, leases or tenants, so that appliances read it again (watch_pool.lua).
local function note_change(list)
  call('HINCRBY', A .. 'changes', list, 1)
end

-- Let a disabled server, which is not polled, have no meetings and users once no record is left of its meetings,
-- and the last poll found none without a record.
local function settle_counts(sid)
  local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state', 'meetings')
  if not s[1] or state_of(sid, s[2]) ~= 'disabled' or number(s[3], 0) == 0 then return end
  for _, id in ipairs(call('SMEMBERS', A .. 'meetings_of:' .. sid)) do
    if call('HGET', P .. 'meeting:' .. id, 'server_id') == sid then return end
  end
  if call('SCARD', A .. 'strays:' .. sid) > 1 then return end
  call('HSET', P .. 'server:' .. sid, 'meetings', 0, 'users', 0, 'largest_meeting', 0, 'videos', 0)
  note_change('servers')
end

-- Set the state of a server and move its load to the sorted set of that state. A maintenance window that
-- had changed it has no say in it any more (advance_maintenance.lua).
local function set_state(sid, state)
  call('HSET', P .. 'server:' .. sid, 'state', state)
  note_change('servers')
  call('HDEL', A .. 'registering', sid) -- it does not enable itself any more
  call('HDEL', A .. 'maintained', sid)
  local load = call('ZSCORE', P .. 'server_load', sid) or call('ZSCORE', P .. 'cordoned_server_load', sid)
  call('ZREM', P .. 'server_load', sid)
  call('ZREM', P .. 'cordoned_server_load', sid)
  if state == 'enabled' then
    call('SADD', P .. 'server_enabled', sid)
    if load then call('ZADD', P .. 'server_load', load, sid) end
  else
    call('SREM', P .. 'server_enabled', sid)
    if state == 'cordoned' and load then call('ZADD', P .. 'cordoned_server_load', load, sid) end
    -- Without users, also in meetings that only its server or a Scalelite knows.
    if number(call('HGET', P .. 'server:' .. sid, 'users'), 0) == 0 then settle_counts(sid) end
  end
end

-- Whether a server that is online failed its last poll or a call since. Arguments: its
-- unhealthy_counter and its key `suspect:`, each false if missing.
local function is_unstable(unhealthy_counter, suspicion)
  return number(unhealthy_counter, 0) > 0 or suspicion ~= false
end

local function multiplier_of(stored)
  local value = number(stored, 1)
  -- Scalelite stores any value; tonumber also accepts "nan" and "inf".
  if value > 0 and value < math.huge then return value end
  return 1
end

-- Return a mark of what a poll compares with the list of a server, or replaces: if neither has changed since an
-- earlier poll, another one would change nothing. '': the next poll must be recorded in any case.
local function poll_mark(sid)
  local s = call('HMGET', P .. 'server:' .. sid, 'state', 'online', 'url', 'load_multiplier', 'meetings', 'users',
    'largest_meeting', 'videos')
  if state_of(sid, s[1]) ~= 'enabled' or s[2] ~= 'true' then return '' end
  if number(call('HGET', P .. sid, 'unhealthy_counter'), 0) > 0 then return '' end
  if call('EXISTS', A .. 'suspect:' .. sid, A .. 'detached:' .. sid, A .. 'doubles:' .. sid) > 0 then return '' end
  local l = call('HMGET', A .. 'load:' .. sid, 'joins', 'doubts', 'pending_users')
  for i = 4, #s do s[i] = text(s[i]) end
  return table.concat({ call('SCARD', A .. 'meetings_of:' .. sid), text(call('ZSCORE', P .. 'server_load', sid)),
    text(l[1]), text(l[2]), text(l[3]), table.concat(s, ' ', 3) }, ' ')
end

-- Have the next poll of a server recorded, even if the server lists what it listed before.
local function doubt_polls(sid)
  if call('EXISTS', A .. 'load:' .. sid) == 1 then call('HINCRBY', A .. 'load:' .. sid, 'doubts', 1) end
end

-- Return a server in the form that parse_server in pool/records.py reads, or nil if it was removed.
local function reply_server(id)
  local s = call('HMGET', P .. 'server:' .. id, 'url', 'secret', 'state', 'online', 'load_multiplier', 'tag',
    'meetings', 'users', 'largest_meeting', 'videos', 'bbb_version')
  if not s[1] then return nil end
  local limits = call('HMGET', A .. 'server:' .. id, 'max_meetings', 'max_users', 'dial_in', 'dial_in_port')
  local load = call('ZSCORE', P .. 'server_load', id) or call('ZSCORE', P .. 'cordoned_server_load', id)
  local unhealthy, suspicion = call('HGET', P .. id, 'unhealthy_counter'), call('GET', A .. 'suspect:' .. id)
  local unstable = s[4] == 'true' and is_unstable(unhealthy, suspicion)
  return { id, s[1], text(s[2]), state_of(id, s[3]), text(s[4]), text(s[5]), text(s[6]),
    text(s[7]), text(s[8]), text(s[9]), text(s[10]), text(s[11]), text(limits[1]), text(limits[2]),
    text(load), text(unhealthy), text(suspicion), unstable and 1 or 0,
    text(limits[3]), text(limits[4]) }
end

-- The load of one meeting on a server of multiplier 1 (docs/placement.md), and the seats that it takes.
-- `w`: the weights {user, video, voice, meeting}; nil: Scalelite's formula, in which each seat is 1.
-- `seen`: its counts at a poll, nil before one. `expected`: the counts it is expected to reach, nil unless users
-- are still joining; then the greater of the two counts.
local function load_of(w, seen, expected, moderators_twice)
  seen, expected = seen or {}, expected or {}
  local function most(name) return math.max(seen[name] or 0, expected[name] or 0) end
  if w then
    local users = most('participants')
    return w.user * users + w.video * most('videos') + w.voice * most('voice') + w.meeting, users
  end
  -- participantCount includes the moderators; Scalelite counts them twice.
  local attendees = (seen.participants or 0) + (moderators_twice and seen.moderators or 0)
  local seats = math.max(attendees, expected.participants or 0)
  return seats, seats
end

-- The load that a meeting may add on a server of multiplier 1 with so many cameras, each with a microphone; `seen`:
-- its counts at a poll, if there was one. The sums of servers are in `unseen_load`.
local UNSEEN_TTL_S = 86400
local function unseen_load(w, cameras, seen)
  seen = seen or {}
  return w.video * math.max(0, cameras - (seen.videos or 0)) + w.voice * math.max(0, cameras - (seen.voice or 0))
end

-- Change the load of a server in the sorted set that holds it; a server in neither set stays out.
local function add_load(server_id, amount)
  if amount == 0 then return end
  for _, name in ipairs({ 'server_load', 'cordoned_server_load' }) do
    local score = call('ZSCORE', P .. name, server_id)
    if score then
      call('ZADD', P .. name, decimal(math.max(0, tonumber(score) + amount)), server_id)
    end
  end
end

-- Count meetings and users that the last poll could not see (yet), for the limits of a server.
local function add_pending(server_id, meetings, users)
  if meetings ~= 0 then call('HINCRBY', A .. 'load:' .. server_id, 'pending_meetings', decimal(meetings)) end
  if users ~= 0 then call('HINCRBY', A .. 'load:' .. server_id, 'pending_users', decimal(users)) end
end

-- Return a record, or nil. `url` is false if the server was removed; `creating_ms` is nil once confirmed.
local function read_record(id)
  local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'moderator_pw', 'voice_bridge', 'tenant_id')
  if not m[1] then return nil end
  local a = call('HMGET', A .. 'meeting:' .. id, 'placement', 'creating', 'expected', 'joins', 'placed_ms',
    'run_ms', 'own_passwords')
  local s = call('HMGET', P .. 'server:' .. m[1], 'url', 'secret', 'state', 'online', 'tag', 'load_multiplier')
  return {
    server_id = m[1], moderator_pw = text(m[2]), voice_bridge = text(m[3]), tenant_id = text(m[4]),
    placement = number(a[1], 0), creating_ms = number(a[2], nil), expected = number(a[3], nil),
    joins = number(a[4], 0), placed_ms = number(a[5], 0), run_ms = number(a[6], nil),
    own_passwords = a[7] == '1',
    url = s[1], secret = text(s[2]), state = s[1] and state_of(m[1], s[3]) or 'disabled',
    online = s[4] == 'true', tag = text(s[5]), multiplier = multiplier_of(s[6]),
  }
end

-- Return the record of a meeting that has none of its own, from its server and further fields `m`; nil if
-- the server was removed.
local function record_on(server_id, m)
  local s = call('HMGET', P .. 'server:' .. server_id, 'url', 'secret', 'state', 'online', 'tag')
  if not s[1] then return nil end
  return {
    server_id = server_id, moderator_pw = text(m.moderator_pw), voice_bridge = text(m.voice_bridge),
    tenant_id = text(m.tenant_id), placement = 0, run_ms = m.run_ms, url = s[1], secret = text(s[2]),
    state = state_of(server_id, s[3]), online = s[4] == 'true', tag = text(s[5]),
  }
end

-- Return the record of a breakout room that a server created itself and listed at its last poll, or nil.
local function find_breakout(id, tenant_id)
  local b = call('HMGET', A .. 'breakout:' .. id, 'server_id', 'tenant_id')
  if not b[1] or text(b[2]) ~= tenant_id then return nil end
  return record_on(b[1], { tenant_id = tenant_id })
end

-- Return a record in the form that parse_meeting in pool/records.py reads.
local function reply_record(id, r, now_ms)
  local creating = 0
  if r.creating_ms and r.creating_ms > now_ms then creating = 1 end
  return { id, r.server_id, r.moderator_pw, r.voice_bridge, r.tenant_id, tostring(r.placement),
    r.creating_ms and 0 or 1, creating, text(r.url), r.secret, r.state, r.online and 1 or 0, r.tag,
    r.run_ms and decimal(r.run_ms) or '', r.own_passwords and 1 or 0 }
end

-- Add a record to the indexes of its server and its tenant ('' or false: none). Members that are left over
-- are removed where they are read.
local function index_meeting(id, server_id, tenant_id)
  call('SADD', A .. 'meetings_of:' .. server_id, id)
  if not tenant_id or tenant_id == '' then return end
  local key = A .. 'meetings_of_tenant:' .. tenant_id
  if call('SADD', key, id) == 1 then call('EXPIRE', key, TENANT_INDEX_TTL_S) end
end

-- Whether the request that placed the meeting may still be running, so that others must not remove
-- the record.
local function is_creating(r, now_ms)
  return r.creating_ms ~= nil and r.creating_ms > now_ms
end

local function is_detached(id)
  return call('EXISTS', A .. 'detached_meeting:' .. id) == 1
end

-- Remove a meeting from the index, load and limits of its server. Call it before the meeting's own key
-- is deleted.
local function uncount(server_id, id)
  local a = call('HMGET', A .. 'meeting:' .. id, 'reserved', 'pending', 'counted')
  call('SREM', A .. 'meetings_of:' .. server_id, id)
  settle_counts(server_id)
  add_load(server_id, -number(a[1], 0))
  -- Without this check the counts of a removed server would be created again and never deleted.
  if a[3] == '1' and call('EXISTS', A .. 'load:' .. server_id) == 1 then
    add_pending(server_id, -1, -number(a[2], 0))
  end
end

-- Release a voice bridge number unless its owner has a record or is detached.
local function free_voice_bridge(id, voice_bridge)
  if call('HGET', P .. 'voice_bridges', voice_bridge) == id and not is_detached(id)
    and call('EXISTS', P .. 'meeting:' .. id) == 0 then
    call('HDEL', P .. 'voice_bridges', voice_bridge)
  end
end

-- Remove a record and everything that belongs to it. Its voice bridge number stays reserved while the
-- meeting is detached, since it may come back with that number.
local function forget(id)
  local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'voice_bridge', 'tenant_id')
  if m[1] then uncount(m[1], id) end
  if m[3] then call('SREM', A .. 'meetings_of_tenant:' .. m[3], id) end
  call('DEL', P .. 'meeting:' .. id, A .. 'meeting:' .. id)
  call('SREM', P .. 'meetings', id)
  if m[2] then free_voice_bridge(id, m[2]) end
end

-- Return the current run of a meeting: the arrival time of the create that began it, and the URL that
-- the front-end wants to have called at its end. Each is nil if it is unknown.
local function run_of(id)
  local a = call('HMGET', A .. 'meeting:' .. id, 'run_ms', 'ended_url')
  return number(a[1], nil), a[2] or nil
end

-- Remove a web hook. The counter of ids is incremented at every change, so that caches can tell whether
-- the hooks have changed.
local function remove_hook(hook_id, hook)
  call('HDEL', A .. 'hooks', hook_id)
  call('INCR', A .. 'hook_ids')
  for _, meeting_id in ipairs(hook.bound_to or {}) do call('SREM', A .. 'hooks_of:' .. meeting_id, hook_id) end
end

-- Remove the web hooks that are bound to a meeting that has ended.
local function end_hooks(meeting_id, tenant_id)
  for _, hook_id in ipairs(call('SMEMBERS', A .. 'hooks_of:' .. meeting_id)) do
    local found = call('HGET', A .. 'hooks', hook_id)
    local hook = found and cjson.decode(found)
    if hook and hook.tenant_id == text(tenant_id) then remove_hook(hook_id, hook) end
  end
end

local MAX_USAGE_ENDS = 100000
local VERSION_ENDS_MS = 60000

-- Whether an operator has said that this recording will not come; then it is not owed again.
local function is_dismissed(internal_id)
  return call('ZSCORE', A .. 'dismissed', internal_id) ~= false
end

-- Recordings that a server owes (docs/fleet.md): a sorted set of internal ids by the end of their runs.
-- `debts`: internal id -> time of the end, or 0: it is not owed.
local function change_debts(sid, debts)
  local key = A .. 'owed:' .. sid
  for internal_id, ended_ms in pairs(debts) do
    if ended_ms > 0 and not is_dismissed(internal_id) then
      call('ZADD', key, decimal(ended_ms), internal_id)
      call('SADD', A .. 'owed', sid)
    else
      call('ZREM', key, internal_id)
    end
  end
  if call('EXISTS', key) == 0 then call('SREM', A .. 'owed', sid) end
end

-- BBB's id of a run, which is also that of its recording.
local function internal_id(id, created)
  return redis.sha1hex(id) .. '-' .. created
end

-- What a server owes is expected from it under another id.
local function move_debts(from, to)
  local owed = call('ZRANGE', A .. 'owed:' .. from, 0, -1, 'WITHSCORES')
  for i = 1, #owed, 2 do change_debts(to, { [owed[i]] = tonumber(owed[i + 1]) }) end
  call('DEL', A .. 'owed:' .. from)
  call('SREM', A .. 'owed', from)
end

local function append_end(sid, id, tenant_id, run_ms, created, marks, recorded)
  local key = A .. 'usage_ended'
  local note = cjson.encode({ sid, id, text(tenant_id), run_ms, text(created), text(marks), text(recorded) })
  if call('RPUSH', key, note) > MAX_USAGE_ENDS then call('LPOP', key) end
  call('PEXPIRE', key, 600000)
end

-- Note for usage that a run has ended, unless its record is gone already: then a poll notices it. `marks`:
-- 'true' or 'false' if its server has told whether it has recording marks. What it owes counts from now
-- (due_ms) on, so that its server does not look empty and free of debts in between.
local function note_end(id, run_ms, tenant_id, due_ms, marks)
  local a = call('HMGET', A .. 'meeting:' .. id, 'run_ms', 'created', 'recorded')
  local sid = a[1] and tonumber(a[1]) == run_ms and call('HGET', P .. 'meeting:' .. id, 'server_id')
  if not sid then return end
  append_end(sid, id, tenant_id, a[1], a[2], marks, a[3])
  if a[2] and a[3] == '1' and marks ~= 'false' then
    change_debts(sid, { [internal_id(id, a[2])] = math.max(due_ms, 1) })
  end
  -- While versions have shares: short meetings count against them (watch_versions.lua).
  if call('EXISTS', A .. 'version_shares') == 1 then
    call('RPUSH', A .. 'version_ends', cjson.encode({ sid, a[1] }))
    call('PEXPIRE', A .. 'version_ends', VERSION_ENDS_MS)
  end
end

-- Schedule the notification of a front-end at due_ms that a run has ended. Until then its server may
-- report the end with more details (end_meeting.lua). Does nothing without a URL.
local function notify_later(id, run_ms, ended_url, tenant_id, due_ms, marks, named)
  note_end(id, run_ms, tenant_id, due_ms, marks)
  if not ended_url or ended_url == '' then return end
  local key = decimal(run_ms or 0) .. ':' .. id
  call('HSET', A .. 'ended', key, cjson.encode({
    id = id, url = ended_url, tenant_id = text(tenant_id), marks = marks, named = named }))
  call('ZADD', A .. 'ended_due', decimal(due_ms), key)
end

-- Record the end of a detached run `d`, as notify_later does for one that has a record. What it owes is owed since
-- it was detached; that its server has no marks of it settles that.
local function end_detached(sid, id, d, due_ms, marks, named)
  if d.run_ms then append_end(sid, id, d.tenant_id, decimal(d.run_ms), d.created, marks, d.recorded) end
  if d.created and marks == 'false' then change_debts(sid, { [internal_id(id, d.created)] = 0 }) end
  notify_later(id, d.run_ms, d.ended_url, d.tenant_id, due_ms, marks, named)
end

local function has_claim(server_id, id)
  return call('HGET', A .. 'detached_meeting:' .. id, 'server_id') == server_id
end

-- Record at a server that a meeting was, or may have been, there when it lost its record.
-- `abandoned`: the meeting must be ended there as soon as the server answers; `requested`: since a
-- front-end asked for it, so also before the meeting is created there again.
-- `detached_meeting:` is the claim of the server that had the meeting last to get it back. A placement
-- that was never confirmed does not take the claim from another server; a confirmed one deletes it.
-- Its server may never come back with the meeting, so a recorded one is owed from now on, and not any more when it is
-- taken back.
local function detach(id, r, now_ms, abandoned, requested)
  -- What runs there is an earlier meeting that users may be in, and that is to be taken back.
  if r.creating_ms and has_claim(r.server_id, id) and call('HEXISTS', A .. 'detached:' .. r.server_id, id) == 1 then
    return
  end
  -- As of the last poll, for list_known_meetings.lua.
  local seen = call('HMGET', A .. 'meeting:' .. id, 'name', 'seen_created', 'users', 'moderators', 'videos', 'created')
  for index = 1, 6 do seen[index] = text(seen[index]) end
  abandoned = abandoned or (r.creating_ms ~= nil and is_detached(id))
  local run_ms, ended_url = run_of(id)
  local more = call('HMGET', A .. 'meeting:' .. id, 'expected_videos', 'expected_voice', 'logout_url', 'recorded',
    'original_id')
  local created, recorded = seen[6] ~= '' and seen[6] or nil, more[4] == '1' and '1' or nil
  call('HSET', A .. 'detached:' .. r.server_id, id, cjson.encode({
    moderator_pw = r.moderator_pw, voice_bridge = r.voice_bridge, tenant_id = r.tenant_id,
    expected = r.expected, expected_videos = more[1] or nil, expected_voice = more[2] or nil, joins = r.joins, placed_ms = r.placed_ms, own_passwords = r.own_passwords,
    run_ms = run_ms, created = created, recorded = recorded,
    ended_url = ended_url, logout_url = more[3] or nil, original_id = more[5] or nil, detached_ms = now_ms, abandoned = abandoned, seen = seen,
    requested = requested }))
  call('EXPIRE', A .. 'detached:' .. r.server_id, DETACHED_TTL_S)
  if not abandoned then
    if created and recorded then change_debts(r.server_id, { [internal_id(id, created)] = now_ms }) end
    local key = A .. 'detached_meeting:' .. id
    call('HSET', key, 'server_id', r.server_id, 'moderator_pw', r.moderator_pw,
      'voice_bridge', r.voice_bridge, 'tenant_id', r.tenant_id, 'logout_url', text(more[3]))
    call('EXPIRE', key, DETACHED_TTL_S)
  end
end

-- An `end` that an appliance sends to a server, which may arrive late. `ending:` holds those of a meeting
-- as '{server id} {number}@{createTime}', by the time until which they may arrive; without a createTime
-- ('') it could hit any run of the meeting. Returns '{number}@{createTime}'.
local function announce_end(id, sid, now_ms, until_ms, created)
  local key = A .. 'ending:' .. id
  local token = call('INCR', A .. 'placements') .. '@' .. created
  call('ZREMRANGEBYSCORE', key, '-inf', decimal(now_ms))
  call('ZADD', key, decimal(until_ms), sid .. ' ' .. token)
  if call('PTTL', key) < until_ms - now_ms then call('PEXPIRE', key, decimal(until_ms - now_ms)) end
  return token
end

-- Return the runs that an `end` of this meeting may still hit, as sets of createTimes by server.
local function runs_to_be_ended(id, now_ms)
  local servers = {}
  for _, member in ipairs(call('ZRANGEBYSCORE', A .. 'ending:' .. id, '(' .. decimal(now_ms), '+inf')) do
    local sid, created = string.match(member, '^(.*) %d+@(%d*)$')
    servers[sid] = servers[sid] or {}
    servers[sid][created] = true
  end
  return servers
end

-- Whether a run of a meeting on a server is the one that is known, or is to be taken back, on another: they are
-- one BBB server that is in the pool twice, since no two servers begin a meeting in the same millisecond.
local function runs_elsewhere(id, sid, created)
  local home = call('HGET', P .. 'meeting:' .. id, 'server_id')
  local known
  if home then
    known = call('HMGET', A .. 'meeting:' .. id, 'created', 'seen_created')
  else
    home = call('HGET', A .. 'detached_meeting:' .. id, 'server_id')
    local entry = home and call('HGET', A .. 'detached:' .. home, id)
    local d = entry and cjson.decode(entry) or {}
    known = { d.created, (d.seen or {})[2] }
  end
  -- The later one is the run that there is: a Scalelite removes its record and leaves this key.
  local latest = math.max(number(known[1], 0), number(known[2], 0))
  return home ~= sid and latest > 0 and latest == number(created, 0)
end

local function drop_claim(server_id, id, voice_bridge)
  if has_claim(server_id, id) then
    call('DEL', A .. 'detached_meeting:' .. id)
    free_voice_bridge(id, voice_bridge)
  end
end

-- Return the record of a meeting whose server is still in the pool, or nil. A record whose server was
-- removed is deleted (in Scalelite such an id stays unusable for a day).
local function read_living(id)
  local r = read_record(id)
  if r and not r.url then
    forget(id)
    return nil
  end
  return r
end

-- Equal ids of two tenants (tenants/scoped_id.py): the first meeting has the plain id, that of another
-- tenant is stored under its scoped id. `scoped` and `tenant_id` are '' without tenants.

-- Whether an id ends in `~{tenant id}`, so that it could be a scoped id. Plain ids must not.
local function names_tenant(id, tenant_id)
  local at = string.find(id, '~', 1, true)
  while at do
    local tail = string.sub(id, at + 1)
    if tail == tenant_id or call('SISMEMBER', P .. 'tenants', tail) == 1 then return true end
    at = string.find(id, '~', at + 1, true)
  end
  return false
end

-- Whether BBB could take an id for an internal meeting id (bbb/meeting_id.py), under which it finds any tenant's
-- meeting: 'whole' if it has the form of one, 'beginning' if only one may begin with it; else nil.
local function names_internal_id(id)
  local digest, hyphen, created = string.match(string.gsub(id, '[%c%s]', ''), '^([0-9a-f]+)(%-?)([0-9]*)$')
  if not digest or #digest > 40 or #created > 13 or (hyphen ~= '' and #digest < 40) then return nil end
  return #created == 13 and 'whole' or 'beginning'
end

-- Whether an id must not be stored and sent to servers as it is.
local function needs_scope(id, tenant_id)
  return names_internal_id(id) == 'whole' or names_tenant(id, tenant_id)
end

-- Return the id under which a tenant's meeting is stored, and its record; nil if there is none.
local function find_record(id, scoped, tenant_id)
  local r = scoped ~= '' and read_living(scoped)
  if r and r.tenant_id == tenant_id then return scoped, r end
  r = read_living(id)
  if not r or r.tenant_id ~= tenant_id then return nil end
  if scoped ~= '' and needs_scope(id, tenant_id) then return nil end
  return id, r
end

-- Return the id under which a tenant's create is stored: the scoped id while a meeting with it exists
-- or may come back, if the plain id is in use by another tenant in the same sense, and if BBB could find
-- another tenant's meeting by it. A meeting that has such a plain id (of a Scalelite) keeps it until it ends.
local function kept_id(id, scoped, tenant_id)
  if scoped == '' then return id end
  if call('EXISTS', P .. 'meeting:' .. scoped) == 1 or is_detached(scoped) or needs_scope(id, tenant_id) then
    return scoped
  end
  local r = read_record(id)
  if r and r.tenant_id == tenant_id and (r.url or not names_internal_id(id)) then return id end
  if r and r.url then return scoped end
  local claim = call('HMGET', A .. 'detached_meeting:' .. id, 'server_id', 'tenant_id')
  if claim[1] then return text(claim[2]) == tenant_id and id or scoped end
  return names_internal_id(id) and scoped or id
end

-- Sweeps record names without a hash in a sorted set, by time. Delete entries that no sweep has found
-- again for ten grace periods: if the name turns up later, it is a new case.
local function drop_old_notes(key, now_ms, grace_ms)
  call('ZREMRANGEBYSCORE', key, '-inf', decimal(now_ms - 10 * grace_ms))
end

-- Whether a sweep at least grace_ms ago found the same name; if no sweep did, record it now.
local function is_stale(key, member, now_ms, grace_ms)
  local seen_ms = call('ZSCORE', key, member)
  if seen_ms and now_ms - tonumber(seen_ms) >= grace_ms then
    call('ZREM', key, member)
    return true
  end
  if not seen_ms then
    call('ZADD', key, decimal(now_ms), member)
    call('PEXPIRE', key, decimal(10 * grace_ms))
  end
  return false
end

-- Whether a voice bridge number is reserved in vain: its meeting has another number, or has no record, is not
-- detached, and was already so grace_ms ago, since Scalelite reserves the number before it writes the record.
local function is_stale_bridge(bridge, owner, now_ms, grace_ms)
  local notes, note, key = A .. 'stale_voice_bridges', bridge .. ' ' .. owner, P .. 'meeting:' .. owner
  local own = text(call('HGET', key, 'voice_bridge')) -- a record need not have one
  if own == bridge or (own == '' and call('EXISTS', key) == 1) or is_detached(owner) then
    call('ZREM', notes, note)
    return false
  end
  return is_stale(notes, note, now_ms, grace_ms)
end

-- Release the name of a tenant that is renamed or removed. If another tenant has the same name, which
-- old versions of Scalelite allow, the name refers to that one from now on.
local function release_tenant_name(name, id)
  local key = P .. 'tenant_name:' .. name
  if call('HGET', key, 'id') ~= id then return end
  call('DEL', key)
  local ids = call('SMEMBERS', P .. 'tenants')
  table.sort(ids)
  for _, other in ipairs(ids) do
    if other ~= id and call('HGET', P .. 'tenant:' .. other, 'name') == name then
      call('HSET', key, 'id', other)
      return
    end
  end
end

-- The meetings of a tenant that have a record ('' without tenants), one at a time.
local function each_meeting(tenant_id)
  local index = tenant_id ~= '' and A .. 'meetings_of_tenant:' .. tenant_id
  local ids, at = call('SMEMBERS', index or P .. 'meetings'), 0
  return function()
    while true do
      at = at + 1
      local id = ids[at]
      if not id then return nil end
      local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'tenant_id')
      if m[1] and text(m[2]) == tenant_id then return id, m[1] end
      if index then call('SREM', index, id) end
    end
  end
end

-- Joins that no poll has seen, as the field `joining` of a meeting holds them: '{ms},{joins},{polls};' for
-- each second with joins; `polls` are those that could have seen them. Such a join counts until two such
-- polls, or for 60 s: people need some seconds from the redirect to the meeting, so a poll that began within
-- 5 s is none. Returns their number and the text without those that are over. `poll`: {began_ms, seen}, to
-- count a poll that saw `seen` more users than the one before.
local function count_joining(stored, now_ms, poll)
  local count, kept, seen = 0, {}, poll and poll.seen or 0
  for ms, joins, polls in string.gmatch(stored or '', '(%d+),(%d+),(%d+);') do
    ms, joins, polls = tonumber(ms), tonumber(joins), tonumber(polls)
    local arrived = math.max(0, math.min(joins, seen))
    joins, seen = joins - arrived, seen - arrived
    if poll and poll.began_ms >= ms + 6000 then polls = polls + 1 end
    -- Without such a poll it is kept until there could be one even at an interval of 60 s.
    local over = polls >= 2 or now_ms - ms >= (polls > 0 and 61000 or 75000)
    if joins > 0 and not over then
      count = count + joins
      kept[#kept + 1] = decimal(ms) .. ',' .. joins .. ',' .. polls .. ';'
    end
  end
  return count, table.concat(kept)
end

-- The limits of a tenant ('' without tenants; docs/tenants.md), or nil if it has none: then this costs one
-- command. Each rule answers from counts that can only be too high, and counts exactly before it refuses.
local function limits_of(tenant_id, now_ms)
  local stored = call('HGETALL', A .. 'limits:' .. tenant_id)
  if #stored == 0 then return nil end
  local max, self = {}, { events = {} }
  for i = 1, #stored, 2 do max[stored[i]] = tonumber(stored[i + 1]) end
  self.max = max

  -- Whether one more is allowed with `used` there now. At 80 % the reply
  -- tells it once an hour (0.8: also NEAR in tenants/limits.py).
  local function allows(limit, used)
    if used >= max[limit] then
      self.events.refused = { limit, max[limit], used }
      return false
    end
    used = used + 1
    if used >= max[limit] * 0.8 and
      call('SET', A .. 'limit_warned:' .. limit .. ':' .. tenant_id, 1, 'NX', 'PX', 3600000) then
      self.events.near = self.events.near or {}
      table.insert(self.events.near, { limit, max[limit], used })
    end
    return true
  end

  function self.meetings()
    local index = tenant_id ~= '' and A .. 'meetings_of_tenant:' .. tenant_id or P .. 'meetings'
    local used = call('SCARD', index)
    if used < max.max_meetings then return used end
    used = 0
    for _ in each_meeting(tenant_id) do used = used + 1 end
    return used
  end

  -- Creates of new meetings within the last minute, of which the oldest is the last in the list.
  function self.creates()
    local key = A .. 'creates:' .. tenant_id
    while true do
      local oldest = call('LINDEX', key, -1)
      if not oldest or math.abs(now_ms - tonumber(oldest)) < 60000 then return call('LLEN', key) end
      call('RPOP', key)
    end
  end

  function self.recording_gb()
    return number(call('HGET', A .. 'recording_bytes', tenant_id), 0) / 1e9
  end

  -- Users of all meetings, counted again after a second or more (later the more meetings there are);
  -- joins in between are added.
  function self.users()
    local key = A .. 'users_of:' .. tenant_id
    local known = call('HMGET', key, 'users', 'counted_ms', 'meetings')
    local age_ms = now_ms - number(known[2], -math.huge)
    if known[1] and age_ms >= 0 and age_ms < 1000 + number(known[3], 0) then return tonumber(known[1]) end
    local users, meetings = 0, 0
    for id in each_meeting(tenant_id) do
      local a = call('HMGET', A .. 'meeting:' .. id, 'users', 'joining')
      meetings = meetings + 1
      users = users + number(a[1], 0) + count_joining(a[2], now_ms)
    end
    call('HSET', key, 'users', users, 'counted_ms', decimal(now_ms), 'meetings', meetings)
    call('EXPIRE', key, 60)
    return users
  end

  function self.admits_create(recorded)
    return (not max.max_meetings or allows('max_meetings', self.meetings()))
      and (not max.max_creates_per_minute or allows('max_creates_per_minute', self.creates()))
      and (not max.max_recordings_gb or not recorded
        or self.admits_recording())
  end

  -- A size has no "one more": it is reached when it is.
  function self.admits_recording()
    local used = self.recording_gb()
    if used >= max.max_recordings_gb then
      self.events.refused = { 'max_recordings_gb', max.max_recordings_gb, used }
      return false
    end
    return allows('max_recordings_gb', used - 1)
  end

  function self.count_create(id)
    if not max.max_creates_per_minute then return end
    call('HSET', A .. 'meeting:' .. id, 'create_counted', decimal(now_ms))
    call('LPUSH', A .. 'creates:' .. tenant_id, decimal(now_ms))
    call('PEXPIRE', A .. 'creates:' .. tenant_id, 60000)
  end

  -- Count one user who joins a meeting, or refuse.
  function self.admits_join(id)
    if not max.max_users and not max.max_users_per_meeting then return true end
    local key = A .. 'meeting:' .. id
    local a = call('HMGET', key, 'users', 'joining')
    local joining, kept = count_joining(a[2], now_ms)
    if max.max_users_per_meeting and not allows('max_users_per_meeting', number(a[1], 0) + joining) then
      return false
    end
    if max.max_users then
      if not allows('max_users', self.users()) then return false end
      call('HINCRBY', A .. 'users_of:' .. tenant_id, 'users', 1)
    end
    local head, ms, joins, polls = string.match(kept, '^(.-)(%d+),(%d+),(%d+);$')
    if ms and polls == '0' and math.abs(now_ms - tonumber(ms)) < 1000 then
      kept = head .. ms .. ',' .. decimal(tonumber(joins) + 1) .. ',0;'
    else
      kept = kept .. decimal(now_ms) .. ',1,0;'
    end
    call('HSET', key, 'joining', kept)
    if call('TTL', key) < 0 then call('EXPIRE', key, DETACHED_TTL_S) end
    return true
  end

  -- The events as a script's reply holds them, '' without any.
  function self.reply()
    return next(self.events) and cjson.encode(self.events) or ''
  end

  return self
end

-- Usage (appliance/usage): `usage_of:` holds what was seen of a server, as the appliance that polled it
-- last has added it up, and the number of times that it was written.
local MAX_USAGE_ENTRIES = 1500000

-- Append to a list that the database will get. If it has been away for too long, the oldest entries are
-- dropped, and remembered as a time of their server that is missing. `time_of` returns both of an entry.
local function append_usage(name, entries, time_of)
  local key = A .. name
  for _, entry in ipairs(entries) do
    if call('RPUSH', key, entry) > MAX_USAGE_ENTRIES then
      local sid, from_ms, to_ms = time_of(cjson.decode(call('LPOP', key)))
      local known = call('HGET', A .. 'usage_dropped', sid)
      local range = known and cjson.decode(known) or { from_ms, to_ms }
      call('HSET', A .. 'usage_dropped', sid, '[' .. decimal(math.min(range[1], from_ms)) .. ','
        .. decimal(math.max(range[2], to_ms)) .. ']')
    end
  end
end

-- Write what an appliance has added up, if it began with the stored version; return whether it did.
-- `parts`: version, state (JSON; '' deletes it), number of entries of usage_runs, debts as change_debts
-- takes them (JSON, '' without), the entries, those of usage_minutes.
local function save_usage(sid, parts)
  local key = A .. 'usage_of:' .. sid
  local version = tonumber(parts[1])
  if number(call('HGET', key, 'version'), 0) ~= version then return 0 end
  if parts[2] == '' then
    call('DEL', key)
    call('SREM', A .. 'usage_servers', sid)
  else
    call('HSET', key, 'version', decimal(version + 1), 'state', parts[2])
    call('SADD', A .. 'usage_servers', sid)
  end
  local runs, minutes = {}, {}
  if parts[4] ~= '' then
    local debts = cjson.decode(parts[4])
    change_debts(sid, debts)
    -- What the database may have as owed, or will have.
    for internal_id, ended_ms in pairs(debts) do
      local owed = ended_ms > 0 and not is_dismissed(internal_id)
      call(owed and 'SREM' or 'SADD', A .. 'usage_settled', cjson.encode({ sid, internal_id }))
    end
  end
  for index = 5, #parts do
    local list = index < 5 + tonumber(parts[3]) and runs or minutes
    list[#list + 1] = parts[index]
  end
  append_usage('usage_runs', runs, function(entry)
    if entry[1] == 'gap' then return entry[2], entry[3], entry[4] end
    return entry[2], entry[3][3], entry[4]
  end)
  append_usage('usage_minutes', minutes, function(entry)
    return entry[1], entry[2] * 60000, entry[2] * 60000 + 60000
  end)
  return 1
end
