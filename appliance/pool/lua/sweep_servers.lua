-- Remove the appliance's keys of servers that no longer exist: a Scalelite on the same stores that
-- removes a server does not know them. Of disabled ones the records of meetings may have expired.
-- ARGV: none. Reply: number of servers removed.
local removed = 0
for _, sid in ipairs(call('SMEMBERS', A .. 'servers')) do
  if call('EXISTS', P .. 'server:' .. sid) == 0 then
    call('DEL', A .. 'server:' .. sid, A .. 'load:' .. sid, A .. 'meetings_of:' .. sid, A .. 'hooks_on:' .. sid,
      A .. 'doubles:' .. sid, A .. 'strays:' .. sid)
    call('SREM', A .. 'servers', sid)
    call('HDEL', A .. 'unseen_load', sid)
    removed = removed + 1
  else
    settle_counts(sid)
  end
end
return removed
