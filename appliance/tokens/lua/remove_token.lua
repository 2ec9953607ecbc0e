-- Remove an access token. ARGV: name. Reply: 1 removed; 0 there is none of this name.
local digest = call('HGET', A .. 'tokens', ARGV[1])
if not digest then return 0 end
call('HDEL', A .. 'tokens', ARGV[1])
call('DEL', A .. 'token:' .. digest)
return 1
