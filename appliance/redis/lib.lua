-- Shared by every script (prepended to each): names of keys, reading and forgetting a record.
-- KEYS[1] is the namespace with its colon ("scalelite:"). Keys without "appliance:" are
-- Scalelite's: no field of ours may ever be added to them (its records refuse unknown fields).
-- Times are milliseconds since the epoch and come from the caller, never from inside.

local call = redis.call
local P = KEYS[1]
local A = P .. 'appliance:'
local DETACHED_TTL_S = 86400
local DETACHED_TTL_MS = DETACHED_TTL_S * 1000
local SIZE_TTL_S = 60 * 86400

local function number(value, default)
  return tonumber(value) or default
end

local function text(value)
  return value or ''
end

-- Numbers as text: whole ones with all their digits (a time has 13) and no exponent.
local function decimal(value)
  if value == math.floor(value) and math.abs(value) < 1e15 then return string.format('%.0f', value) end
  return string.format('%.12g', value)
end

local STATES = { enabled = true, cordoned = true, disabled = true }

-- Old records have no `state`: then membership in server_enabled means enabled.
-- A word that is no state means disabled, which harms nobody.
local function state_of(id, stored)
  if stored then return STATES[stored] and stored or 'disabled' end
  if call('SISMEMBER', P .. 'server_enabled', id) == 1 then return 'enabled' end
  return 'disabled'
end

-- Set the state of a server; its load goes to the set of that state.
local function set_state(sid, state)
  call('HSET', P .. 'server:' .. sid, 'state', state)
  local load = call('ZSCORE', P .. 'server_load', sid) or call('ZSCORE', P .. 'cordoned_server_load', sid)
  call('ZREM', P .. 'server_load', sid)
  call('ZREM', P .. 'cordoned_server_load', sid)
  if state == 'enabled' then
    call('SADD', P .. 'server_enabled', sid)
    if load then call('ZADD', P .. 'server_load', load, sid) end
  else
    call('SREM', P .. 'server_enabled', sid)
    if state == 'cordoned' and load then call('ZADD', P .. 'cordoned_server_load', load, sid) end
  end
end

-- Whether a server that is online failed its last poll or a call since. Arguments: its
-- unhealthy_counter and its key `suspect:`, each false if missing.
local function is_unstable(unhealthy_counter, suspicion)
  return number(unhealthy_counter, 0) > 0 or suspicion ~= false
end

local function multiplier_of(stored)
  local value = number(stored, 1)
  -- Scalelite stores what it is given; tonumber reads "nan" and "inf" too.
  if value > 0 and value < math.huge then return value end
  return 1
end

-- Change the load of a server in whichever set holds it; a server in none stays out.
local function add_load(server_id, amount)
  if amount == 0 then return end
  for _, name in ipairs({ 'server_load', 'cordoned_server_load' }) do
    local score = call('ZSCORE', P .. name, server_id)
    if score then
      call('ZADD', P .. name, decimal(math.max(0, tonumber(score) + amount)), server_id)
    end
  end
end

-- What the limits of a server must know beyond the last poll: meetings and users that it has not
-- seen, or not all of yet.
local function add_pending(server_id, meetings, users)
  if meetings ~= 0 then call('HINCRBY', A .. 'load:' .. server_id, 'pending_meetings', decimal(meetings)) end
  if users ~= 0 then call('HINCRBY', A .. 'load:' .. server_id, 'pending_users', decimal(users)) end
end

-- A record, or nil. `url` is false where the server is gone; `creating_ms` is nil once confirmed.
local function read_record(id)
  local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'moderator_pw', 'voice_bridge', 'tenant_id')
  if not m[1] then return nil end
  local a = call('HMGET', A .. 'meeting:' .. id, 'placement', 'creating', 'expected', 'joins', 'placed_ms',
    'run_ms')
  local s = call('HMGET', P .. 'server:' .. m[1], 'url', 'secret', 'state', 'online', 'tag', 'load_multiplier')
  return {
    server_id = m[1], moderator_pw = text(m[2]), voice_bridge = text(m[3]), tenant_id = text(m[4]),
    placement = number(a[1], 0), creating_ms = number(a[2], nil), expected = number(a[3], nil),
    joins = number(a[4], 0), placed_ms = number(a[5], 0), run_ms = number(a[6], nil),
    url = s[1], secret = text(s[2]), state = s[1] and state_of(m[1], s[3]) or 'disabled',
    online = s[4] == 'true', tag = text(s[5]), multiplier = multiplier_of(s[6]),
  }
end

-- The reply form of a record: see redis_replies.py, parse_meeting.
local function reply_record(id, r, now_ms)
  local creating = 0
  if r.creating_ms and r.creating_ms > now_ms then creating = 1 end
  return { id, r.server_id, r.moderator_pw, r.voice_bridge, r.tenant_id, tostring(r.placement),
    r.creating_ms and 0 or 1, creating, text(r.url), r.secret, r.state, r.online and 1 or 0, r.tag,
    r.run_ms and decimal(r.run_ms) or '' }
end

-- The record may still be asked for by the request that makes it: not to be removed by others.
local function is_creating(r, now_ms)
  return r.creating_ms ~= nil and r.creating_ms > now_ms
end

local function is_detached(id)
  return call('EXISTS', A .. 'detached_meeting:' .. id) == 1
end

-- Take a meeting off the server that its record names: out of the index, the load, the limits.
-- To be called before its own key is deleted.
local function uncount(server_id, id)
  local a = call('HMGET', A .. 'meeting:' .. id, 'reserved', 'pending', 'counted')
  call('SREM', A .. 'meetings_of:' .. server_id, id)
  add_load(server_id, -number(a[1], 0))
  -- Not where the server is gone and its counts with it: they would be made anew, for ever.
  if a[3] == '1' and call('EXISTS', A .. 'load:' .. server_id) == 1 then
    add_pending(server_id, -1, -number(a[2], 0))
  end
end

-- A number goes back when no record and no detached meeting of its owner has it.
local function free_voice_bridge(id, voice_bridge)
  if call('HGET', P .. 'voice_bridges', voice_bridge) == id and not is_detached(id)
    and call('EXISTS', P .. 'meeting:' .. id) == 0 then
    call('HDEL', P .. 'voice_bridges', voice_bridge)
  end
end

-- Remove a record and all that hangs on it. A voice bridge number stays reserved while the
-- meeting is detached somewhere, since it may come back with that number.
local function forget(id)
  local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'voice_bridge')
  if m[1] then uncount(m[1], id) end
  call('DEL', P .. 'meeting:' .. id, A .. 'meeting:' .. id)
  call('SREM', P .. 'meetings', id)
  if m[2] then free_voice_bridge(id, m[2]) end
end

-- The run of a meeting that its server has: when the create came that began it, and what the
-- front-end wants to be called when it ends. Both nil where nobody knows.
local function run_of(id)
  local a = call('HMGET', A .. 'meeting:' .. id, 'run_ms', 'ended_url')
  return number(a[1], nil), a[2] or nil
end

-- A run has ended: its front-end is to be told at due_ms. Until then its server may still tell us
-- more about it (end_meeting.lua). Without an URL nobody waits for anything.
local function tell_later(id, run_ms, ended_url, tenant_id, due_ms, marks, named)
  if not ended_url or ended_url == '' then return end
  local key = decimal(run_ms or 0) .. ':' .. id
  call('HSET', A .. 'ended', key, cjson.encode({
    id = id, url = ended_url, tenant_id = text(tenant_id), marks = marks, named = named }))
  call('ZADD', A .. 'ended_due', decimal(due_ms), key)
end

-- Remember at a server that a meeting was (or may have been) there when the record left it.
-- `abandoned`: it must be ended there once the server answers, whatever else.
-- `detached_meeting:` is the claim to come back, held for the server that had the meeting last;
-- who was never confirmed does not take it from another, and a confirmed newer home ends it.
local function detach(id, r, now_ms, abandoned)
  abandoned = abandoned or (r.creating_ms ~= nil and is_detached(id))
  local run_ms, ended_url = run_of(id)
  call('HSET', A .. 'detached:' .. r.server_id, id, cjson.encode({
    moderator_pw = r.moderator_pw, voice_bridge = r.voice_bridge, tenant_id = r.tenant_id,
    expected = r.expected, joins = r.joins, placed_ms = r.placed_ms,
    run_ms = run_ms, created = call('HGET', A .. 'meeting:' .. id, 'created') or nil,
    ended_url = ended_url, detached_ms = now_ms, abandoned = abandoned }))
  call('EXPIRE', A .. 'detached:' .. r.server_id, DETACHED_TTL_S)
  if not abandoned then
    local key = A .. 'detached_meeting:' .. id
    call('HSET', key, 'server_id', r.server_id, 'moderator_pw', r.moderator_pw,
      'voice_bridge', r.voice_bridge, 'tenant_id', r.tenant_id)
    call('EXPIRE', key, DETACHED_TTL_S)
  end
end

local function has_claim(server_id, id)
  return call('HGET', A .. 'detached_meeting:' .. id, 'server_id') == server_id
end

local function drop_claim(server_id, id, voice_bridge)
  if has_claim(server_id, id) then
    call('DEL', A .. 'detached_meeting:' .. id)
    free_voice_bridge(id, voice_bridge)
  end
end

-- A record of which the server is still in the pool; one whose server was removed counts as unknown
-- and is cleaned up (Scalelite keeps such ids stuck for a day).
local function read_living(id)
  local r = read_record(id)
  if r and not r.url then
    forget(id)
    return nil
  end
  return r
end

-- Equal ids of two tenants (tenants/scoped_id.py): whoever comes first has the plain id, the meeting of
-- another tenant is kept under its scoped id. `scoped` and `tenant_id` are '' without tenants.

-- Whether an id could be the scoped one of a tenant: it ends in `~{tenant id}`. No plain id may.
local function names_tenant(id, tenant_id)
  local at = string.find(id, '~', 1, true)
  while at do
    local tail = string.sub(id, at + 1)
    if tail == tenant_id or call('SISMEMBER', P .. 'tenants', tail) == 1 then return true end
    at = string.find(id, '~', at + 1, true)
  end
  return false
end

-- The id under which a tenant's meeting is kept and its record, or nil: it has none of this id.
local function find_record(id, scoped, tenant_id)
  local r = scoped ~= '' and read_living(scoped)
  if r and r.tenant_id == tenant_id then return scoped, r end
  r = read_living(id)
  if not r or r.tenant_id ~= tenant_id then return nil end
  if scoped ~= '' and names_tenant(id, tenant_id) then return nil end
  return id, r
end

-- The id under which a create of a tenant's is kept. The scoped one as long as its meeting lives or
-- may come back, and where the plain one belongs to another tenant whose meeting does.
local function kept_id(id, scoped, tenant_id)
  if scoped == '' then return id end
  if call('EXISTS', P .. 'meeting:' .. scoped) == 1 or is_detached(scoped) or names_tenant(id, tenant_id) then
    return scoped
  end
  local r = read_record(id)
  if r and r.tenant_id == tenant_id then return id end
  if r and r.url then return scoped end
  local claim = call('HMGET', A .. 'detached_meeting:' .. id, 'server_id', 'tenant_id')
  if claim[1] and text(claim[2]) ~= tenant_id then return scoped end
  return id
end

-- A sweep's notes of what it found without its hash, by time. Those that no sweep has come back to
-- for ten graces were cleared meanwhile: the same name found again is another case.
local function drop_old_notes(key, now_ms, grace_ms)
  call('ZREMRANGEBYSCORE', key, '-inf', decimal(now_ms - 10 * grace_ms))
end

-- Whether a sweep at least grace_ms ago found the same; if none did, note that this one does.
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

-- Take the name from a tenant that is renamed or removed. Where an old Scalelite let two tenants
-- have one name, the other one is found by it from now on.
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
