-- Read what is known of servers besides their records. ARGV: server ids.
-- Reply: for each {pending users, whether it was polled as a server of the pool (1/0), whether a
-- maintenance window has changed its state and will give it back (1/0)}.
local reply = {}
for index, id in ipairs(ARGV) do
  -- A server that was only added has no counters: a disabled one is asked for its version alone.
  reply[index] = {
    text(call('HGET', A .. 'load:' .. id, 'pending_users')),
    call('EXISTS', P .. id),
    call('HEXISTS', A .. 'maintained', id),
  }
end
return reply
