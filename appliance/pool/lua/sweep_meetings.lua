-- Remove members of `meetings` that had no hash in two sweeps, grace_ms apart (Scalelite writes other
-- keys before the hash), and add those with a hash to the index of their server.
-- ARGV: now_ms, grace_ms, meeting ids... Reply: number removed.
local now_ms, grace_ms, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local notes = A .. 'stale_meetings'
drop_old_notes(notes, now_ms, grace_ms)

local function index(id, sid, tenant_id)
  call('ZREM', notes, id)
  index_meeting(id, sid, tenant_id)
  -- A Scalelite on the same stores writes the record before it calls the server. Its placement time
  -- is unknown; taking the present time gives it the same grace in polls as the appliance's creates.
  if call('HSETNX', A .. 'meeting:' .. id, 'placed_ms', decimal(now_ms)) == 1 then
    local ttl_s = call('TTL', P .. 'meeting:' .. id)
    call('EXPIRE', A .. 'meeting:' .. id, ttl_s > 0 and ttl_s or DETACHED_TTL_S)
  end
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local m = call('HMGET', P .. 'meeting:' .. id, 'server_id', 'tenant_id')
  local sid = m[1]
  if not sid then
    if is_stale(notes, id, now_ms, grace_ms) then
      call('SREM', P .. 'meetings', id)
      call('DEL', A .. 'meeting:' .. id)
      removed = removed + 1
    end
  elseif call('EXISTS', P .. 'server:' .. sid) == 1 then
    index(id, sid, m[2])
  else
    forget(id)
    removed = removed + 1
  end
end
return removed
