-- ARGV: meeting id, server id, placement, now_ms, ttl_s, run_ms, ended_url, created. Reply: 1, or 0
-- where the record is another one by now (the caller re-reads it and follows). run_ms: when the
-- create came that has begun this run of the meeting; empty where the server had it already.
-- ended_url: what the front-end wants to be called when it ends; may be empty. created: the
-- server's createTime, which each run has its own of; empty if it told none, and then nothing says
-- that there is a new run.
local id = ARGV[1]
local r = read_record(id)
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) then return 0 end
if r.creating_ms then
  call('HDEL', A .. 'meeting:' .. id, 'creating')
  call('HSET', A .. 'meeting:' .. id, 'confirmed_ms', ARGV[4])
  -- It lives here now: wherever it was before, it is ended there.
  call('DEL', A .. 'detached_meeting:' .. id)
  call('EXPIRE', P .. 'meeting:' .. id, ARGV[5])
  call('EXPIRE', A .. 'meeting:' .. id, ARGV[5])
end
local key = A .. 'meeting:' .. id
local run_ms, ended_url = run_of(id)
local created = call('HGET', key, 'created')

local same = run_ms and (ARGV[8] == '' or created == ARGV[8])
if ARGV[6] ~= '' and number(ARGV[8], math.huge) < number(created, 0) then
  -- The create of a later run was answered before: this one is over already.
  notify_later(id, tonumber(ARGV[6]), ARGV[7], r.tenant_id, tonumber(ARGV[4]))
elseif ARGV[6] ~= '' and not same then
  -- Its server began it anew: the run before has ended, and nobody noticed.
  if run_ms and run_ms ~= tonumber(ARGV[6]) then
    notify_later(id, run_ms, ended_url, r.tenant_id, tonumber(ARGV[4]))
  end
  call('HDEL', key, 'ended_url', 'created')
  call('HSET', key, 'run_ms', ARGV[6])
  if ARGV[8] ~= '' then call('HSET', key, 'created', ARGV[8]) end
  if ARGV[7] ~= '' then call('HSET', key, 'ended_url', ARGV[7]) end
  -- A record of Scalelite's may have had nothing of ours yet.
  if call('TTL', key) < 0 then call('EXPIRE', key, ARGV[5]) end
elseif r.creating_ms and ARGV[7] ~= '' then
  -- Whoever began it did not live to say so.
  call('HSETNX', key, 'ended_url', ARGV[7])
end
return 1
