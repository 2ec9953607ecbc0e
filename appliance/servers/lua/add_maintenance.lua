-- Store a maintenance window, a new one or in place of a planned one, if the windows are still those that it was
-- checked against. ARGV: window id, JSON, the stored windows. Reply: 1, or 0 if they have changed.
local key, known = A .. 'maintenance', {}
for i = 3, #ARGV do known[ARGV[i]] = true end
local stored = call('HVALS', key)
if #stored ~= #ARGV - 2 then return 0 end
for _, window in ipairs(stored) do
  if not known[window] then return 0 end
end
call('HSET', key, ARGV[1], ARGV[2])
return 1
