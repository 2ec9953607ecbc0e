-- Count the pool. ARGV: none. Reply: {enabled servers, those of them that are online, meetings, users}.
local enabled, online, meetings, users = 0, 0, 0, 0
for _, id in ipairs(call('SMEMBERS', P .. 'servers')) do
  local s = call('HMGET', P .. 'server:' .. id, 'url', 'state', 'online', 'meetings', 'users')
  if s[1] then
    if state_of(id, s[2]) == 'enabled' then
      enabled = enabled + 1
      if s[3] == 'true' then online = online + 1 end
    end
    meetings, users = meetings + number(s[4], 0), users + number(s[5], 0)
  end
end
return { enabled, online, meetings, users }
