-- Undo an unconfirmed placement.
-- ARGV: meeting id, server id, placement, now_ms, may_exist (1/0), avoid_ms. If the meeting appears on
-- the server, it is ended there. may_exist: the request may have created it, so for avoid_ms the next
-- create prefers another server.
-- Reply: 1 if undone, 0 if another request has changed or confirmed the record.
local id, now_ms = ARGV[1], tonumber(ARGV[4])
local r = read_record(id)
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) or not r.creating_ms then return 0 end
local counted = call('HGET', A .. 'meeting:' .. id, 'create_counted')
if counted then call('LREM', A .. 'creates:' .. (r.tenant_id or ''), 1, counted) end
forget(id)
-- Even if this request was not sent, others of this id may have been.
detach(id, r, now_ms, true)
if ARGV[5] == '1' then call('SET', A .. 'avoid:' .. id, r.server_id, 'PX', ARGV[6]) end
return 1
