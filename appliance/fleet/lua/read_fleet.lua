-- Read what is known of servers besides their records. ARGV: server ids.
-- Reply: for each {pending users, whether it has taken part in the pool (1/0), whether a
-- maintenance window has changed its state and will give it back (1/0)}.
local reply = {}
for index, id in ipairs(ARGV) do
  -- A server that was only added has no counters: a disabled one is asked for its version alone.
  local polled = call('EXISTS', P .. id) == 1 and call('HEXISTS', A .. 'registering', id) == 0
  reply[index] = {
    text(call('HGET', A .. 'load:' .. id, 'pending_users')),
    polled and 1 or 0,
    call('HEXISTS', A .. 'maintained', id),
  }
end
return reply
