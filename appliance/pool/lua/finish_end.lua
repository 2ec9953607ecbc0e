-- Withdraw the announcement of an `end` that cannot reach its server any more: it was answered, or never
-- sent. ARGV: meeting id, server id, token of the `end`, answered (1/0). Reply: 1.
local id, sid = ARGV[1], ARGV[2]
call('ZREM', A .. 'ending:' .. id, sid .. ' ' .. ARGV[3])
if ARGV[4] == '1' then
  -- The front-end's request is fulfilled. What a create may have left stays recorded, since a create that
  -- was abandoned may still arrive.
  local entry = call('HGET', A .. 'detached:' .. sid, id)
  if entry and cjson.decode(entry).requested then call('HDEL', A .. 'detached:' .. sid, id) end
end
return 1
