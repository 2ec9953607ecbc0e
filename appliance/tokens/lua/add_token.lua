-- Add an access token. ARGV: name, SHA-256 of its secret, role, tenant id or '', created, expires or ''.
-- Reply: 1 added; 0 there is a token of this name.
local name, digest, role, tenant, created, expires = unpack(ARGV)
if call('HSETNX', A .. 'tokens', name, digest) == 0 then return 0 end
call('HSET', A .. 'token:' .. digest, 'name', name, 'role', role, 'created', created)
if tenant ~= '' then call('HSET', A .. 'token:' .. digest, 'tenant_id', tenant) end
if expires ~= '' then call('HSET', A .. 'token:' .. digest, 'expires', expires) end
return 1
