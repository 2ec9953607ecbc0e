-- Add a callback that is due now. ARGV: id, now_ms, ttl_s, host, data. Reply: 1, or 0 if the id exists.
local id, now = ARGV[1], ARGV[2]
local key = A .. 'callback:' .. id
if call('EXISTS', key) == 1 then return 0 end
call('HSET', key, 'host', ARGV[4], 'data', ARGV[5], 'state', 'pending', 'attempts', 0, 'created', now,
  'since', now, 'due', now)
call('EXPIRE', key, ARGV[3])
call('ZADD', A .. 'callbacks', now, id)
call('ZADD', A .. 'callbacks_due', now, id)
return 1
