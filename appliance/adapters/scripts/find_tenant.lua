-- ARGV: host label in lower case. Reply: JSON {id, name, secrets, settings = [...]} or nil.
local function tenant_id_of(label)
  local id = call('HGET', P .. 'tenant_name:' .. label, 'id')
  if id then return id end
  -- Names may be stored in another case; host labels know none.
  for _, candidate in ipairs(call('SMEMBERS', P .. 'tenants')) do
    local name = call('HGET', P .. 'tenant:' .. candidate, 'name')
    if name and string.lower(name) == label then return candidate end
  end
  return nil
end

local id = tenant_id_of(ARGV[1])
if not id then return false end
local t = call('HMGET', P .. 'tenant:' .. id, 'name', 'secrets')
if not t[1] then return false end
local settings = {}
local setting_ids = call('SMEMBERS', P .. 'tenant_settings:' .. id)
table.sort(setting_ids) -- the same answer each time, should two set one parameter
for _, setting_id in ipairs(setting_ids) do
  local s = call('HMGET', P .. 'tenant_setting:' .. setting_id, 'param', 'value', 'override')
  if s[1] then
    settings[#settings + 1] = { s[1], text(s[2]), s[3] == 'true',
      text(call('HGET', A .. 'tenant_setting:' .. setting_id, 'call')) }
  end
end
return cjson.encode({ id = id, name = t[1], secrets = text(t[2]), settings = settings })
