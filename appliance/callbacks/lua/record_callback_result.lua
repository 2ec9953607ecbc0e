-- Record the result of an attempt if the caller still holds the claim. A finished callback is kept for
-- keep_s. ARGV: claimant, id, now_ms, state, status, error, wait_ms, keep_s. Reply: 1, or 0 without claim.
local claimant, id, now, state = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4]
local key = A .. 'callback:' .. id
local owner, current = unpack(call('HMGET', key, 'owner', 'state'))
if owner ~= claimant or current ~= 'pending' then return 0 end
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
