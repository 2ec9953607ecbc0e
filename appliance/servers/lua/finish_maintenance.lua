-- Change one maintenance window, if it is still as the caller has seen it.
-- ARGV: window id, action, phase, JSON. Actions: `cancel`: remove a planned window, end another early; `cleared`: the
-- meetings that it had left are ended; `finished`: restore the state of the server, and replace the window by the
-- JSON, its next occurrence, or remove it if that is empty.
-- Reply: nil if there is no such window in this phase; else the state that the server was given back, ''
-- if it keeps the one that it has.
local key, restore_key = A .. 'maintenance', A .. 'maintained'
local stored = call('HGET', key, ARGV[1])
local w = stored and cjson.decode(stored)
if not w or w.phase ~= ARGV[3] then return false end
if ARGV[2] == 'cancel' then
  if w.phase == 'planned' then
    call('HDEL', key, w.id)
    return ''
  end
  w.cancelled = true
elseif ARGV[2] == 'cleared' then
  w.to_clear, w.claim_ms = nil, nil
else
  local restore, sid = call('HGET', restore_key, w.server_id), w.server_id
  local state = call('HGET', P .. 'server:' .. sid, 'state')
  call('HDEL', restore_key, sid)
  -- A Scalelite on the same stores may have enabled it.
  local restored = restore and state ~= 'enabled' and restore ~= state and restore or ''
  if restored ~= '' then set_state(sid, restored) end
  if ARGV[4] == '' or w.cancelled then call('HDEL', key, w.id) else call('HSET', key, w.id, ARGV[4]) end
  return restored
end
call('HSET', key, w.id, cjson.encode(w))
return ''
