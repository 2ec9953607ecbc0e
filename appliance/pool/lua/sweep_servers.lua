-- Remove what we keep of servers that are gone: a Scalelite beside us that removes one knows
-- nothing of our keys. Reply: number of servers removed.
local removed = 0
for _, sid in ipairs(call('SMEMBERS', A .. 'servers')) do
  if call('EXISTS', P .. 'server:' .. sid) == 0 then
    call('DEL', A .. 'server:' .. sid, A .. 'load:' .. sid, A .. 'meetings_of:' .. sid, A .. 'hooks_on:' .. sid)
    call('SREM', A .. 'servers', sid)
    removed = removed + 1
  end
end
return removed
