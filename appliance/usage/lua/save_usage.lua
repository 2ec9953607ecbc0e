-- Write what was added up of a server. ARGV: server id, then as save_usage in lib.lua.
-- Reply: 1, or 0 if another appliance has written since.
local parts = {}
for index = 2, #ARGV do parts[#parts + 1] = ARGV[index] end
return save_usage(ARGV[1], parts)
