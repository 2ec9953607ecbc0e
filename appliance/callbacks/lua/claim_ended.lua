-- Claim notifications of ended meetings that are due. Each is claimed at most once in claim_ms, until
-- drop_ended.lua deletes it. One that lies more than ahead_ms ahead is due too: no delay is that long, so
-- the clock was set back. ARGV: now_ms, claim_ms, limit, ahead_ms. Reply: {{key, JSON}, ...}.
local now_ms = tonumber(ARGV[1])
local reply = {}
local keys = call('ZRANGEBYSCORE', A .. 'ended_due', '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
local ahead = '(' .. decimal(now_ms + tonumber(ARGV[4]))
local room = tonumber(ARGV[3]) - #keys
for _, key in ipairs(call('ZRANGEBYSCORE', A .. 'ended_due', ahead, '+inf', 'LIMIT', 0, room)) do
  keys[#keys + 1] = key
end
for _, key in ipairs(keys) do
  local entry = call('HGET', A .. 'ended', key)
  if entry then
    local claimed = cjson.decode(entry)
    claimed.claimed = true
    call('HSET', A .. 'ended', key, cjson.encode(claimed))
    call('ZADD', A .. 'ended_due', decimal(now_ms + tonumber(ARGV[2])), key)
    reply[#reply + 1] = { key, entry }
  else
    call('ZREM', A .. 'ended_due', key)
  end
end
return reply
