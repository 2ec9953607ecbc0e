-- Forget every meeting of a server, including detached ones, in one step.
-- ARGV: server id, now_ms, to_be_ended (1/0), notify_after_ms (as in forget_meeting.lua). With
-- to_be_ended they are recorded as to be ended there, so that the next poll ends a meeting whose `end`
-- did not arrive.
-- Reply: {{meeting id, moderator_pw}, ...}, or nil for an unknown server.
local sid, now_ms, to_be_ended = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local due_ms = now_ms + tonumber(ARGV[4])
local server_key = P .. 'server:' .. sid
if call('EXISTS', server_key) == 0 then return false end

local reply = {}
local detached = call('HGETALL', A .. 'detached:' .. sid)
for i = 1, #detached, 2 do
  local id, d = detached[i], cjson.decode(detached[i + 1])
  if not d.abandoned then
    reply[#reply + 1] = { id, d.moderator_pw }
    if has_claim(sid, id) then
      end_detached(sid, id, d, due_ms)
      end_hooks(id, d.tenant_id)
    end
    d.ended_url = nil
    drop_claim(sid, id, d.voice_bridge)
    if to_be_ended then
      d.abandoned = true
      d.detached_ms = now_ms
      call('HSET', A .. 'detached:' .. sid, id, cjson.encode(d))
    else
      call('HDEL', A .. 'detached:' .. sid, id)
    end
  end
end

-- The whole set, not the index of the server: a Scalelite on the same stores places meetings too.
for _, id in ipairs(call('SMEMBERS', P .. 'meetings')) do
  if call('HGET', P .. 'meeting:' .. id, 'server_id') == sid then
    local r = read_record(id)
    reply[#reply + 1] = { id, r.moderator_pw }
    local run_ms, ended_url = run_of(id)
    notify_later(id, run_ms, ended_url, r.tenant_id, due_ms)
    end_hooks(id, r.tenant_id)
    forget(id)
    if to_be_ended then detach(id, r, now_ms, true) end
  end
end

call('HSET', server_key, 'meetings', 0, 'users', 0, 'largest_meeting', 0, 'videos', 0)
return reply
