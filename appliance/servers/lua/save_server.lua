-- Add or change a server. ARGV[1]: JSON {id, new, fields = {...}, removed = [...],
-- own = {...}, removed_own = [...] (fields of the appliance), state = ... (optional), retired = [...] (optional:
-- ids under which a new server was retired; it takes over what they owe), registering = true (optional: polls
-- enable it), unique = true (optional: refuse the URL of another server)}. Reply: 1; 0 if it exists already (new) or
-- does not exist (change), or if another server has the URL.
local q = cjson.decode(ARGV[1])
local key = P .. 'server:' .. q.id
local exists = call('EXISTS', key) == 1
if q.new == exists then return 0 end
-- Two calls at once: the callers have compared the URLs in all their spellings. (A file of `servers sync` is checked
-- as a whole: servers may exchange their URLs.)
if q.unique and q.fields.url and call('HGET', key, 'url') ~= q.fields.url then
  for _, id in ipairs(call('SMEMBERS', P .. 'servers')) do
    if call('HGET', P .. 'server:' .. id, 'url') == q.fields.url then return 0 end
  end
end
if q.new then
  call('SADD', P .. 'servers', q.id)
  call('DEL', A .. 'emptied')
  -- Keys that remain of an earlier server of this id must not be taken for those of the new one.
  call('DEL', P .. q.id, A .. 'server:' .. q.id, A .. 'load:' .. q.id)
  call('HDEL', A .. 'maintained', q.id)
  call('HDEL', A .. 'registering', q.id)
  call('SREM', P .. 'server_enabled', q.id)
  call('ZREM', P .. 'server_load', q.id)
  call('ZREM', P .. 'cordoned_server_load', q.id)
  for _, id in ipairs(q.retired or {}) do
    call('HDEL', A .. 'retired', id)
    if id ~= q.id then move_debts(id, q.id) end
  end
end
call('SADD', A .. 'servers', q.id)
for name, value in pairs(q.fields) do call('HSET', key, name, value) end
for _, name in ipairs(q.removed) do call('HDEL', key, name) end
for name, value in pairs(q.own) do call('HSET', A .. 'server:' .. q.id, name, value) end
for _, name in ipairs(q.removed_own) do call('HDEL', A .. 'server:' .. q.id, name) end
note_change('servers')
if q.state then set_state(q.id, q.state) end
if q.registering then call('HSET', A .. 'registering', q.id, 0) end
return 1
