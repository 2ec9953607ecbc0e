-- Find the tenant of a host label. ARGV: host label in lower case.
-- Reply: JSON {id, name, secrets, settings = [...], rules = [JSON, ...], lrs = {...}} or nil; `lrs` contains the fields for LRS
-- and Keycloak of a tenant that has an LRS.
local function tenant_id_of(label)
  local id = call('HGET', P .. 'tenant_name:' .. label, 'id')
  if id then return id end
  -- Names may be stored in another case; host labels are case-insensitive.
  for _, candidate in ipairs(call('SMEMBERS', P .. 'tenants')) do
    local name = call('HGET', P .. 'tenant:' .. candidate, 'name')
    if name and string.lower(name) == label then return candidate end
  end
  return nil
end

local id = tenant_id_of(ARGV[1])
if not id then return false end
local t = call('HMGET', P .. 'tenant:' .. id, 'name', 'secrets', 'lrs_endpoint')
if not t[1] then return false end
local settings = {}
local setting_ids = call('SMEMBERS', P .. 'tenant_settings:' .. id)
table.sort(setting_ids) -- deterministic, if two settings have the same parameter
for _, setting_id in ipairs(setting_ids) do
  local s = call('HMGET', P .. 'tenant_setting:' .. setting_id, 'param', 'value', 'override')
  if s[1] then
    settings[#settings + 1] = { s[1], text(s[2]), s[3] == 'true',
      text(call('HGET', A .. 'setting_calls', setting_id)) }
  end
end
local lrs = {}
if text(t[3]) ~= '' then
  local fields = call('HGETALL', P .. 'tenant:' .. id)
  for i = 1, #fields, 2 do
    if string.find(fields[i], '^lrs_') or string.find(fields[i], '^kc_') then lrs[fields[i]] = fields[i + 1] end
  end
end
return cjson.encode({ id = id, name = t[1], secrets = text(t[2]), settings = settings, lrs = lrs,
  rules = call('HVALS', A .. 'param_rules:' .. id) })
