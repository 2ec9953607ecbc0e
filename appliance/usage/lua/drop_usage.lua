-- Remove entries that the database has. ARGV: 'usage_runs' or 'usage_minutes', number, the first of them.
-- Reply: 1, or 0 if another appliance has removed them.
local key = A .. ARGV[1]
if call('LINDEX', key, 0) ~= ARGV[3] then return 0 end
call('LTRIM', key, ARGV[2], -1)
return 1
