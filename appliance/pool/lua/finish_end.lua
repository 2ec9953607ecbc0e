-- Withdraw the announcement of an `end` that cannot reach its server any more: it was answered, or never
-- sent. ARGV: meeting id, server id, number of the `end`. Reply: 1.
call('ZREM', A .. 'ending:' .. ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1
