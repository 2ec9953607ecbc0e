-- ARGV: now_ms, grace_ms, meeting ids... Members of `meetings` without their hash are removed when
-- two sweeps, grace_ms apart, found them so (Scalelite writes other keys before the hash).
-- Those with a hash are put into the index of their server. Reply: number removed.
local now_ms, grace_ms, removed = tonumber(ARGV[1]), tonumber(ARGV[2]), 0
local notes = A .. 'stale_meetings'
drop_old_notes(notes, now_ms, grace_ms)

local function index(id, sid)
  call('ZREM', notes, id)
  call('SADD', A .. 'meetings_of:' .. sid, id)
  -- First seen now: a Scalelite that writes the record before it asks the server gets the
  -- same grace from our poller as our own creates.
  if call('HSETNX', A .. 'meeting:' .. id, 'placed_ms', decimal(now_ms)) == 1 then
    local ttl_s = call('TTL', P .. 'meeting:' .. id)
    call('EXPIRE', A .. 'meeting:' .. id, ttl_s > 0 and ttl_s or DETACHED_TTL_S)
  end
end

for i = 3, #ARGV do
  local id = ARGV[i]
  local sid = call('HGET', P .. 'meeting:' .. id, 'server_id')
  if not sid then
    if is_stale(notes, id, now_ms, grace_ms) then
      call('SREM', P .. 'meetings', id)
      call('DEL', A .. 'meeting:' .. id)
      removed = removed + 1
    end
  elseif call('EXISTS', P .. 'server:' .. sid) == 1 then
    index(id, sid)
  else
    forget(id)
    removed = removed + 1
  end
end
return removed
