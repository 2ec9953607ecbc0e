-- Forget a meeting whose server does not answer the front-end's `end`, and have it ended there as soon as
-- the server answers again, unless a newer run has begun by then.
-- ARGV: meeting id, server id, placement, run_ms or '', detached (1/0), now_ms, notify_after_ms, until_ms
-- (until when an `end` that was sent without being answered may arrive; 0: none was sent).
-- Reply: 1, or 0 if the record has changed since, or is being created.
local id, sid, run_ms, now_ms = ARGV[1], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[6])
local due_ms = now_ms + tonumber(ARGV[7])
local r = read_record(id)
if ARGV[5] == '1' then
  local entry = call('HGET', A .. 'detached:' .. sid, id)
  if r or not entry or not has_claim(sid, id) then return 0 end
  local d = cjson.decode(entry)
  if d.abandoned or d.run_ms ~= run_ms then return 0 end
  end_detached(sid, id, d, due_ms)
  d.ended_url, d.abandoned, d.requested, d.detached_ms = nil, true, true, now_ms
  call('HSET', A .. 'detached:' .. sid, id, cjson.encode(d))
  drop_claim(sid, id, d.voice_bridge)
  return 1
end
if not r or r.server_id ~= sid or r.placement ~= tonumber(ARGV[3]) or r.run_ms ~= run_ms or r.creating_ms then
  return 0
end
local _, ended_url = run_of(id)
notify_later(id, run_ms, ended_url, r.tenant_id, due_ms)
detach(id, r, now_ms, true, true)
forget(id)
if ARGV[8] ~= '0' then announce_end(id, sid, now_ms, tonumber(ARGV[8]), '') end
return 1
