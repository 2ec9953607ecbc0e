-- Read what another program may change of servers without a notice, to compare it with an earlier reading.
-- ARGV: server ids... Reply: a string for each, '' if it does not exist.
local reply = {}
for index, id in ipairs(ARGV) do
  local s = call('HMGET', P .. 'server:' .. id, 'url', 'secret', 'state', 'online', 'load_multiplier', 'tag', 'bbb_version')
  reply[index] = ''
  if s[1] then
    reply[index] = table.concat({ s[1], text(s[2]), state_of(id, s[3]), text(s[4]), text(s[5]), text(s[6]), text(s[7]),
      text(call('HGET', P .. id, 'unhealthy_counter')) }, '\0')
  end
end
return reply
