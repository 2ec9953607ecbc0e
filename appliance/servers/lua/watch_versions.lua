-- Count what happens to meetings by the version of their server, while versions have shares: meetings
-- that have ended, those of them that took less than short_ms, meetings that were joined, and those of
-- them in which no poll has seen a user. Each meeting counts once.
-- ARGV: now_ms, short_ms, unseen_ms, settle_ms, meeting ids... unseen_ms: so long after its join was
-- noticed a meeting must have a user; settle_ms: polls before that say nothing.
-- Reply: 0 if no version has a share, else 1.
if call('EXISTS', A .. 'version_shares') == 0 then return 0 end
local now_ms, short_ms, unseen_ms, settle_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local trial = A .. 'version_trial'

local function count(server_id, ...)
  local version = call('HGET', P .. 'server:' .. server_id, 'bbb_version')
  if not version or version == '' then return end
  for _, name in ipairs({ ... }) do call('HINCRBY', trial, name .. ' ' .. version, 1) end
end

for _, entry in ipairs(call('LRANGE', A .. 'version_ends', 0, -1)) do
  local sid, run_ms = unpack(cjson.decode(entry))
  if now_ms - tonumber(run_ms) < short_ms then count(sid, 'ended', 'short') else count(sid, 'ended') end
end
call('DEL', A .. 'version_ends')

for i = 5, #ARGV do
  local key = A .. 'meeting:' .. ARGV[i]
  local a = call('HMGET', key, 'joins', 'watched', 'placement', 'users', 'seen_ms')
  local sid = number(a[1], 0) > 0 and a[2] ~= 'counted' and call('HGET', P .. 'meeting:' .. ARGV[i], 'server_id')
  if sid then
    local size = call('HMGET', A .. 'size:' .. ARGV[i], 'run', 'peak')
    if number(a[4], 0) > 0 or (size[1] == a[3] and number(size[2], 0) > 0) then
      count(sid, 'joined')
      call('HSET', key, 'watched', 'counted')
    elseif not a[2] then
      call('HSET', key, 'watched', decimal(now_ms))
      doubt_polls(sid)
    elseif now_ms - tonumber(a[2]) >= unseen_ms and number(a[5], 0) >= tonumber(a[2]) + settle_ms then
      count(sid, 'joined', 'unseen')
      call('HSET', key, 'watched', 'counted')
    end
  end
end
if call('EXISTS', trial) == 1 then call('EXPIRE', trial, 30 * 86400) end
return 1
