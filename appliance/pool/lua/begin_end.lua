-- Announce an `end` of a meeting on a server that the meeting is not placed on. Until finish_end.lua, or
-- until_ms at the latest, a create of that id does not end up with the run that the `end` could hit
-- (confirm_meeting.lua), or is not placed there if it could hit any run (place_meeting.lua).
-- ARGV: meeting id, server id, now_ms, until_ms, createTime of the run or ''. Reply: the token of this `end`,
-- or '' if the meeting must not be ended there: it is placed on that server by now, or it was detached there
-- and is to be taken back, or this very run is what another server of the pool has as well.
local id, sid, now_ms, until_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local home = call('HGET', P .. 'meeting:' .. id, 'server_id')
if home == sid then return '' end
if has_claim(sid, id) and (not home or call('HEXISTS', A .. 'meeting:' .. id, 'creating') == 1) then return '' end
if runs_elsewhere(id, sid, ARGV[5]) then
  call('HDEL', A .. 'detached:' .. sid, id)
  return ''
end
return announce_end(id, sid, now_ms, until_ms, ARGV[5])
