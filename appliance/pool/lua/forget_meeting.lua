-- Forget a meeting that its server does not have (any more), and notify its front-end notify_after_ms
-- later, or earlier if the server reports the end.
-- ARGV: meeting id, server id, placement, run_ms or '', now_ms, even_if_creating (1/0), notify_after_ms.
-- run_ms is that of the record before the server was asked: if a create has begun a new run since, the
-- server's answer referred to the previous run, and nothing is changed. Reply: 1 if forgotten, else 0.
local r = read_record(ARGV[1])
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) or r.run_ms ~= tonumber(ARGV[4]) then
  return 0
end
if ARGV[6] ~= '1' and is_creating(r, tonumber(ARGV[5])) then return 0 end
local _, ended_url = run_of(ARGV[1])
notify_later(ARGV[1], r.run_ms, ended_url, r.tenant_id, tonumber(ARGV[5]) + tonumber(ARGV[7]))
if not r.creating_ms then end_hooks(ARGV[1], r.tenant_id) end -- else it may never have begun
forget(ARGV[1])
return 1
