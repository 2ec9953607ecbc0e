-- ARGV: keys of claim_ended.lua whose front-ends will be told by others now. Reply: none.
for i = 1, #ARGV do
  call('HDEL', A .. 'ended', ARGV[i])
  call('ZREM', A .. 'ended_due', ARGV[i])
end
return false
