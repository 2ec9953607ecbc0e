-- Change callbacks. ARGV: change, claimant, now_ms, a time in ms or s, ids... Reply: the ids that were changed.
-- renew: extend claims of `claimant` to time ms. due: make waiting callbacks due now. retry: restart the
-- attempts, and keep the callback for time s; retry_failed: the same for failed ones only. drop: drop
-- callbacks that are not done, and keep them for time s. prune: delete ids whose hash has expired.
local what, claimant, now, time, changed = ARGV[1], ARGV[2], ARGV[3], ARGV[4], {}
local due = A .. 'callbacks_due'

local function claimed(owner, till)
  return owner and number(till, 0) > tonumber(now)
end

local function change(id, key, state, owner, till)
  if what == 'prune' then
    if state then return false end
    call('ZREM', due, id)
    call('ZREM', A .. 'callbacks', id)
  elseif not state then
    return false
  elseif what == 'renew' then
    if owner ~= claimant then return false end
    local later = decimal(tonumber(now) + tonumber(time))
    call('HSET', key, 'till', later)
    call('ZADD', due, later, id)
  elseif what == 'due' then
    if state ~= 'pending' or claimed(owner, till) then return false end
    call('HSET', key, 'due', now)
    call('ZADD', due, now, id)
  elseif what == 'retry' or what == 'retry_failed' then
    if claimed(owner, till) or (what == 'retry_failed' and state ~= 'failed') then return false end
    call('HSET', key, 'state', 'pending', 'attempts', 0, 'since', now, 'due', now)
    call('ZADD', due, now, id)
    call('EXPIRE', key, time)
  elseif what == 'drop' then
    if state ~= 'pending' and state ~= 'failed' then return false end
    call('HSET', key, 'state', 'dropped')
    call('HDEL', key, 'owner', 'till')
    call('ZREM', due, id)
    call('EXPIRE', key, time)
  end
  return true
end

for i = 5, #ARGV do
  local id = ARGV[i]
  local key = A .. 'callback:' .. id
  local state, owner, till = unpack(call('HMGET', key, 'state', 'owner', 'till'))
  if change(id, key, state, owner, till) then changed[#changed + 1] = id end
end
return changed
