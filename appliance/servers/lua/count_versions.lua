-- Count creates by the version of their server.
-- ARGV: hour, then for each server: its id, creates that succeeded, creates that failed.
-- Reply: 1. Servers without a known version are left out.
local hour_key, trial = A .. 'version_creates:' .. ARGV[1], A .. 'version_trial'
local watched = call('EXISTS', A .. 'version_shares') == 1
for i = 2, #ARGV, 3 do
  local version = call('HGET', P .. 'server:' .. ARGV[i], 'bbb_version')
  if version and version ~= '' then
    for name, count in pairs({ creates = ARGV[i + 1] + ARGV[i + 2], failed = ARGV[i + 2] }) do
      if tonumber(count) > 0 then
        call('HINCRBY', hour_key, name .. ' ' .. version, decimal(tonumber(count)))
        if watched then call('HINCRBY', trial, name .. ' ' .. version, decimal(tonumber(count))) end
      end
    end
    call('EXPIRE', hour_key, 90000)
  end
end
if watched then call('EXPIRE', trial, 30 * 86400) end
return 1
