-- ARGV: who, id, now_ms, state, status, error, wait_ms, keep_s. Write what became of an attempt, if
-- the callback is still the caller's; one that is finished lives for keep_s. Reply: 0 if it is not.
local who, id, now, state = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local key = A .. 'callback:' .. id
local owner, current = unpack(call('HMGET', key, 'owner', 'state'))
if owner ~= who or current ~= 'pending' then return 0 end
call('HINCRBY', key, 'attempts', 1)
call('HSET', key, 'state', state, 'status', ARGV[5], 'error', ARGV[6])
call('HDEL', key, 'owner', 'till')
if state == 'pending' then
  local due = decimal(now + tonumber(ARGV[7]))
  call('HSET', key, 'due', due)
  call('ZADD', A .. 'callbacks_due', due, id)
else
  call('ZREM', A .. 'callbacks_due', id)
  call('EXPIRE', key, ARGV[8])
end
return 1
