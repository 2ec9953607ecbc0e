-- Add or change a tenant. ARGV[1]: JSON {id, new, fields = {...}, removed = [...]}.
-- Reply: {1} done; {0} the id exists already (new) or does not exist (change); {-1, other id}: another
-- tenant has the name. Names are host labels, so they are compared without regard to case.
local q = cjson.decode(ARGV[1])
local key = P .. 'tenant:' .. q.id
if q.new == (call('EXISTS', key) == 1) then return { 0 } end
local name = q.fields.name
if name then
  for _, other in ipairs(call('SMEMBERS', P .. 'tenants')) do
    local held = other ~= q.id and call('HGET', P .. 'tenant:' .. other, 'name')
    if held and string.lower(held) == string.lower(name) then return { -1, other } end
  end
  local before = call('HGET', key, 'name')
  if before and before ~= name then release_tenant_name(before, q.id) end
  call('HSET', P .. 'tenant_name:' .. name, 'id', q.id)
end
for field, value in pairs(q.fields) do call('HSET', key, field, value) end
for _, field in ipairs(q.removed) do call('HDEL', key, field) end
call('SADD', P .. 'tenants', q.id)
note_change('tenants')
return { 1 }
