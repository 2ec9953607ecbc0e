-- List tenants. ARGV: a tenant's id, or '' for all; '1' to include the settings. Reply: a list of
-- {id, {field, value, ...}, {{setting id, param, value, override, call, mode, version}, ...}}, sorted by id;
-- mode is '' for settings of Scalelite, which are all but the parameter rules.
local function settings_of(id)
  local settings = {}
  local ids = call('SMEMBERS', P .. 'tenant_settings:' .. id)
  table.sort(ids)
  for _, setting_id in ipairs(ids) do
    local s = call('HMGET', P .. 'tenant_setting:' .. setting_id, 'param', 'value', 'override')
    if s[1] then
      settings[#settings + 1] = { setting_id, s[1], text(s[2]), text(s[3]),
        text(call('HGET', A .. 'setting_calls', setting_id)), '', '' }
    end
  end
  local rules = call('HGETALL', A .. 'param_rules:' .. id)
  for i = 1, #rules, 2 do
    local r = cjson.decode(rules[i + 1])
    settings[#settings + 1] = { rules[i], r.param, r.value, '', r.call, r.mode, r.version }
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
