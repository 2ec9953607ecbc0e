-- Read what is known of servers besides their records. ARGV: server ids.
-- Reply: for each server that is not as most are, {its index in ARGV, pending users, whether it has taken part in
-- the pool (1/0), whether a maintenance window has changed its state and will give it back (1/0)}. Most have no
-- pending users, have taken part and are not maintained.
local function keys_of(name)
  local found = {}
  for _, key in ipairs(call('HKEYS', A .. name)) do found[key] = true end
  return found
end

local registering, maintained, reply = keys_of('registering'), keys_of('maintained'), {}
for index, id in ipairs(ARGV) do
  -- A server that was only added has no counters: a disabled one is asked for its version alone.
  local polled = call('EXISTS', P .. id) == 1 and not registering[id]
  local pending = number(call('HGET', A .. 'load:' .. id, 'pending_users'), 0)
  if pending > 0 or not polled or maintained[id] then
    reply[#reply + 1] = { index, math.floor(pending), polled and 1 or 0, maintained[id] and 1 or 0 }
  end
end
return reply
