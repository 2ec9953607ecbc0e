-- Delete notifications that the callback queue has. ARGV: keys of claim_ended.lua. Reply: nil.
for i = 1, #ARGV do
  call('HDEL', A .. 'ended', ARGV[i])
  call('ZREM', A .. 'ended_due', ARGV[i])
end
return false
