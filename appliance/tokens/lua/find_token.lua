-- Find a valid access token and record its use. ARGV: SHA-256 of its secret, now, how old the recorded use
-- must be to be replaced. Reply: {name, role, tenant id, created, expires, last used}, or nil: unknown,
-- expired, or of a tenant that was removed.
local key = A .. 'token:' .. ARGV[1]
local now = tonumber(ARGV[2])
local t = call('HMGET', key, 'name', 'role', 'tenant_id', 'created', 'expires', 'last_used')
if not t[1] or (t[5] and now >= number(t[5], 0)) then return false end
if t[3] and call('EXISTS', P .. 'tenant:' .. t[3]) == 0 then return false end
if not t[6] or math.abs(now - number(t[6], 0)) >= tonumber(ARGV[3]) then
  call('HSET', key, 'last_used', ARGV[2])
  t[6] = ARGV[2]
end
return t
