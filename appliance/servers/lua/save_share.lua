-- Set or remove the share of new meetings that a version of BBB gets. What was counted of versions begins
-- again.
-- ARGV: version, share in parts of 10,000 ('': none), JSON about it, the share that it must have now ('':
-- any). Reply: 1; 0 if it has another share now.
local shares = A .. 'version_shares'
if ARGV[4] ~= '' and call('HGET', shares, ARGV[1]) ~= ARGV[4] then return 0 end
if ARGV[2] == '' then
  call('HDEL', shares, ARGV[1])
  call('HDEL', A .. 'version_notes', ARGV[1])
else
  call('HSET', shares, ARGV[1], ARGV[2])
  call('HSET', A .. 'version_notes', ARGV[1], ARGV[3])
end
call('HDEL', A .. 'version_credits', ARGV[1])
call('DEL', A .. 'version_trial', A .. 'version_ends')
return 1
