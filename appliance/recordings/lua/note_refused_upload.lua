-- Remember that an upload was refused; beyond the maximum the oldest is forgotten.
-- ARGV: recordID, JSON of RefusedUpload, maximum, how long the key is kept in ms. Reply: 1.
local key = A .. 'refused_uploads'
local new = cjson.decode(ARGV[2])
local known = call('HGET', key, ARGV[1])
new.first = new.at
if known then
  local before = cjson.decode(known)
  new.first, new.attempts = before.first, before.attempts + 1
elseif call('HLEN', key) >= tonumber(ARGV[3]) then
  local all, oldest, at = call('HGETALL', key), nil, math.huge
  for i = 1, #all, 2 do
    local one = cjson.decode(all[i + 1])
    if one.at < at then oldest, at = all[i], one.at end
  end
  call('HDEL', key, oldest)
end
call('HSET', key, ARGV[1], cjson.encode(new))
call('PEXPIRE', key, ARGV[4])
return 1
