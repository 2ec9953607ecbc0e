-- List tenants. ARGV: a tenant's id, or '' for all; '1' to include the settings. Reply: a list of
-- {id, {field, value, ...}, {{setting id, param, value, override, call}, ...}}, sorted by id.
local function settings_of(id)
  local settings = {}
  local ids = call('SMEMBERS', P .. 'tenant_settings:' .. id)
  table.sort(ids)
  for _, setting_id in ipairs(ids) do
    local s = call('HMGET', P .. 'tenant_setting:' .. setting_id, 'param', 'value', 'override')
    if s[1] then
      settings[#settings + 1] = { setting_id, s[1], text(s[2]), text(s[3]),
        text(call('HGET', A .. 'setting_calls', setting_id)) }
    end
  end
  return settings
end

local all = ARGV[1] == ''
local ids = all and call('SMEMBERS', P .. 'tenants') or { ARGV[1] }
table.sort(ids)
local reply = {}
for _, id in ipairs(ids) do
  local fields = call('HGETALL', P .. 'tenant:' .. id)
  if #fields > 0 then
    reply[#reply + 1] = { id, fields, ARGV[2] == '1' and settings_of(id) or {} }
  elseif all then
    call('SREM', P .. 'tenants', id) -- Scalelite may leave a member without its hash
  end
end
return reply
