-- ARGV: meeting id, server id, placement, run_ms or '', now_ms, even_if_creating (1/0),
-- tell_after_ms. Forget a meeting that its server does not have (any more). Reply: 1 or 0. Its
-- front-end is told tell_after_ms later, unless its server tells us of the end before. run_ms: of the
-- record that the caller had before it asked the server; if a create has begun the meeting anew
-- since, what the server said was of the run before.
local r = read_record(ARGV[1])
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) or r.run_ms ~= tonumber(ARGV[4]) then
  return 0
end
if ARGV[6] ~= '1' and is_creating(r, tonumber(ARGV[5])) then return 0 end
local _, ended_url = run_of(ARGV[1])
tell_later(ARGV[1], r.run_ms, ended_url, r.tenant_id, tonumber(ARGV[5]) + tonumber(ARGV[7]))
forget(ARGV[1])
return 1
