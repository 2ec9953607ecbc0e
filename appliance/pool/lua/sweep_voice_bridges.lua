-- Remove entries of `voice_bridges` whose meeting was gone in two sweeps, grace_ms apart.
-- ARGV: now_ms, grace_ms, voice bridge numbers... Reply: number removed.
local now_ms, grace_ms, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local notes = A .. 'stale_voice_bridges'
drop_old_notes(notes, now_ms, grace_ms)
for i = 3, #ARGV do
  local bridge = ARGV[i]
  local owner = call('HGET', P .. 'voice_bridges', bridge)
  local note = bridge .. ' ' .. text(owner)
  if owner and call('EXISTS', P .. 'meeting:' .. owner) == 0 and not is_detached(owner) then
    if is_stale(notes, note, now_ms, grace_ms) then
      call('HDEL', P .. 'voice_bridges', bridge)
      removed = removed + 1
    end
  else
    call('ZREM', notes, note)
  end
end
return removed
