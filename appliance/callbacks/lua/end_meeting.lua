-- A server reported that a run of a meeting has ended. If that run is the recorded one, forget the
-- meeting and notify its front-end now; otherwise change nothing.
-- ARGV: meeting id, server id, run_ms, marks ('true', 'false' or ''), now_ms, named (1: the server adds
-- the meetingID to URLs). Reply: 1 if something changed, else 0.
local id, sid, run_ms, now_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[5])
local marks = ARGV[4] ~= '' and ARGV[4] or nil
local named = ARGV[6] == '1' or nil

-- Also if it comes late: usage keeps what it says of the recording.
local function note_marks()
  if marks then append_end(sid, id, '', ARGV[3], '', marks, '') end
end

-- A poll or call has detected the end already, and the front-end is not notified yet.
local key = decimal(run_ms) .. ':' .. id
local waiting = call('HGET', A .. 'ended', key)
if waiting then
  local entry = cjson.decode(waiting)
  note_marks()
  if entry.claimed then return 0 end
  notify_later(id, run_ms, entry.url, entry.tenant_id, now_ms, marks, named)
  return 1
end

local r = read_record(id)
if r then
  local known_ms, ended_url = run_of(id)
  -- Creates may reach a server in a different order, and the run is not recorded if the create's
  -- request ended early or Scalelite wrote the record. The server is asked (callbacks/ended.py).
  if run_ms ~= known_ms then
    note_marks()
    return 0
  end
  if r.server_id ~= sid or is_creating(r, now_ms) then return 0 end
  notify_later(id, known_ms, ended_url, r.tenant_id, now_ms, marks, named)
  end_hooks(id, r.tenant_id)
  forget(id)
  return 1
end

-- The server is offline for the appliance, but ended the meeting normally.
local detached = call('HGET', A .. 'detached:' .. sid, id)
local d = detached and has_claim(sid, id) and cjson.decode(detached)
if not d or d.abandoned or run_ms ~= d.run_ms then
  note_marks()
  return 0
end
end_detached(sid, id, d, now_ms, marks, named)
end_hooks(id, d.tenant_id)
call('HDEL', A .. 'detached:' .. sid, id)
drop_claim(sid, id, d.voice_bridge)
return 1
