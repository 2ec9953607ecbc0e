-- Make the copy of a meeting that users are in the one that is known: the meeting runs on two servers, and
-- the copy on the server of its record is empty, and is recorded as to be ended there.
-- ARGV: meeting id, server id, placement and joins of the record, the other server's id, moderator password
-- and voice bridge there (may be ''), now_ms. Reply: 1, or 0 if the record has changed since.
local id, from, to, moderator_pw, bridge = ARGV[1], ARGV[2], ARGV[5], ARGV[6], ARGV[7]
local r = read_record(id)
if not r or r.server_id ~= from or r.placement ~= tonumber(ARGV[3]) or r.creating_ms then return 0 end
if r.joins ~= tonumber(ARGV[4]) or call('EXISTS', P .. 'server:' .. to) == 0 then return 0 end
detach(id, r, tonumber(ARGV[8]), true)
uncount(from, id)
call('HSET', P .. 'meeting:' .. id, 'server_id', to)
if moderator_pw ~= '' then call('HSET', P .. 'meeting:' .. id, 'moderator_pw', moderator_pw) end
if bridge ~= '' and bridge ~= r.voice_bridge and not call('HGET', P .. 'voice_bridges', bridge) then
  call('HSET', P .. 'meeting:' .. id, 'voice_bridge', bridge)
  call('HSET', P .. 'voice_bridges', bridge, id)
  call('HDEL', P .. 'voice_bridges', r.voice_bridge)
end
local own = A .. 'meeting:' .. id
call('HSET', own, 'placement', call('INCR', A .. 'placements'), 'reserved', 0, 'pending', 0, 'counted', 0,
  'moved_from', from)
call('HDEL', own, 'created', 'seen_created', 'seen_ms', 'own_passwords')
if call('TTL', own) < 0 then call('EXPIRE', own, DETACHED_TTL_S) end
call('SADD', A .. 'meetings_of:' .. to, id)
return 1
