-- List the access tokens. Reply: as find_token.lua, for each.
local reply = {}
for _, digest in ipairs(call('HVALS', A .. 'tokens')) do
  reply[#reply + 1] =
    call('HMGET', A .. 'token:' .. digest, 'name', 'role', 'tenant_id', 'created', 'expires', 'last_used')
end
return reply
