-- Remove entries of `voice_bridges` that two sweeps, grace_ms apart, found to be reserved in vain.
-- ARGV: now_ms, grace_ms, voice bridge numbers... Reply: number removed.
local now_ms, grace_ms, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
drop_old_notes(A .. 'stale_voice_bridges', now_ms, grace_ms)
for i = 3, #ARGV do
  local owner = call('HGET', P .. 'voice_bridges', ARGV[i])
  if owner and is_stale_bridge(ARGV[i], owner, now_ms, grace_ms) then
    call('HDEL', P .. 'voice_bridges', ARGV[i])
    removed = removed + 1
  end
end
return removed
