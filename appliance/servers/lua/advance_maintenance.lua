-- Do what is due for the maintenance windows, each step once however many appliances ask: cordon a
-- server, disable it, end the window. Follow-ups (ending the meetings that are left, the poll after which
-- the server is enabled) are claimed by the caller for claim_ms.
-- ARGV[1]: JSON {now_ms, seats, headroom, forecast, claim_ms, give_up_ms}: seats of a server without
-- max_users; room to keep, in percent of the users, of which `forecast` are expected.
-- Reply: JSON list of {event, window}. events: draining, open, ending, postponed, missed, gone (a
-- Scalelite has removed the server), and the claimed follow-ups: clear, finish.
local q = cjson.decode(ARGV[1])
local now_ms, key, restore_key = q.now_ms, A .. 'maintenance', A .. 'maintained'
local done, windows, busy = {}, {}, {}

local stored = call('HGETALL', key)
for i = 2, #stored, 2 do
  local w = cjson.decode(stored[i])
  windows[#windows + 1] = w
  if w.phase ~= 'planned' then busy[w.server_id] = true end
end
table.sort(windows, function(a, b)
  if a.from_ms ~= b.from_ms then return a.from_ms < b.from_ms end
  return a.id < b.id
end)

local function keep(w) call('HSET', key, w.id, cjson.encode(w)) end

local function report(event, w) done[#done + 1] = { event = event, window = w } end

-- Whether the pool can do without a server: those that are left have seats for the users and the room to
-- keep. The only server of a pool is always let go, since waiting would not help.
local function has_room(sid, state)
  if state ~= 'enabled' then return true end
  local others, left, seats, users = 0, 0, 0, 0
  for _, id in ipairs(call('SMEMBERS', P .. 'servers')) do
    local s = call('HMGET', P .. 'server:' .. id, 'url', 'state', 'online', 'users')
    local its_state = state_of(id, s[2])
    if its_state ~= 'disabled' then users = users + number(s[4], 0) end -- else they are not counted any more
    if id ~= sid and s[1] then
      local enabled = its_state == 'enabled'
      if enabled or call('HEXISTS', restore_key, id) == 1 then others = others + 1 end
      if enabled and s[3] == 'true' then
        left = left + 1
        seats = seats + number(call('HGET', A .. 'server:' .. id, 'max_users'), q.seats)
      end
    end
  end
  if others == 0 then return true end
  -- In whole numbers, since 100 * 1.1 is more than 110.
  return left > 0 and 100 * seats >= math.max(users, q.forecast) * (100 + q.headroom)
end

-- Set the state of a server for its window, and remember what it was before.
local function set_for_window(sid, before, state)
  local restore = call('HGET', restore_key, sid) or before
  set_state(sid, state)
  call('HSET', restore_key, sid, restore)
end

local function begin(w, state)
  if busy[w.server_id] then return end
  if w.until_ms and now_ms >= w.until_ms and not w.postponed_ms then
    -- No appliance was running.
    w.phase = 'ending'
    report('missed', w)
  elseif w.postponed_ms and now_ms >= w.postponed_ms + q.give_up_ms then
    w.phase = 'ending'
    report('missed', w)
  elseif not has_room(w.server_id, state) then
    if w.postponed_ms then return end
    w.postponed_ms = now_ms
    report('postponed', w)
  else
    if w.postponed_ms and now_ms + w.lead_ms > w.from_ms then
      -- Keep its length, and the time to drain.
      local later_ms = now_ms + w.lead_ms - w.from_ms
      w.from_ms, w.shifted_ms = w.from_ms + later_ms, later_ms
      if w.until_ms then w.until_ms = w.until_ms + later_ms end
    end
    w.postponed_ms = nil
    busy[w.server_id] = true
    w.phase = 'draining'
    if state == 'enabled' then
      set_for_window(w.server_id, state, 'cordoned')
      report('draining', w)
    end
  end
  keep(w)
end

local function open(w, state)
  if state ~= 'disabled' then
    set_for_window(w.server_id, state, 'disabled')
    w.to_clear = true
  end
  w.phase = 'open'
  report('open', w)
  keep(w)
end

-- A task of this process that follows up takes longer than its claim only if the server hangs; then a
-- second one does no harm.
local function claim(event, w)
  if number(w.claim_ms, 0) > now_ms then return end
  w.claim_ms = now_ms + q.claim_ms
  report(event, w)
  keep(w)
end

local function advance(w)
  local s = call('HMGET', P .. 'server:' .. w.server_id, 'url', 'state')
  if not s[1] then
    call('HDEL', key, w.id)
    call('HDEL', restore_key, w.server_id)
    report('gone', w)
    return
  end
  if w.phase == 'planned' and now_ms >= w.from_ms - w.lead_ms then begin(w, state_of(w.server_id, s[2])) end
  local over = w.cancelled or (w.until_ms and now_ms >= w.until_ms)
  if w.phase == 'draining' and now_ms >= w.from_ms and not over then
    open(w, state_of(w.server_id, call('HGET', P .. 'server:' .. w.server_id, 'state')))
  end
  if (w.phase == 'open' or w.phase == 'draining') and over then
    w.phase, w.claim_ms = 'ending', nil
    report('ending', w)
    keep(w)
  end
  if w.phase == 'open' and w.to_clear then claim('clear', w) end
  if w.phase == 'ending' then claim('finish', w) end
end

for _, w in ipairs(windows) do advance(w) end
if #done == 0 then return '[]' end
return cjson.encode(done)
