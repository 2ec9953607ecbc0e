-- ARGV: meeting id, server id, placement, now_ms, even_if_creating (1/0).
-- Forget a meeting that its server does not have (any more). Reply: 1 or 0.
local r = read_record(ARGV[1])
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) then return 0 end
if ARGV[5] ~= '1' and is_creating(r, tonumber(ARGV[4])) then return 0 end
forget(ARGV[1])
return 1
