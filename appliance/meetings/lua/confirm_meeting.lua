-- Record that a server has created a meeting, and which run of it.
-- ARGV: meeting id, server id, placement, now_ms, ttl_s, run_ms, ended_url, created, and, unless the record was
-- written for this create, moderator_pw, own_passwords (1/0), logout_url, which a new run replaces.
-- run_ms: arrival time of the create that began this run; empty if the server had the meeting already.
-- ended_url: URL that the front-end wants to have called at the end; may be empty. created: the server's
-- createTime, which is different for each run; empty if the answer had none, so that a new run cannot be
-- detected. moderator_pw: empty if it is unknown. logout_url: may be empty.
-- Reply: 1; 0 if the record has changed since (the caller reloads it and follows the winner); 2 if the
-- server has the run that an `end` under way may hit (pool/ending.py): it must not be acknowledged.
local id = ARGV[1]
local r = read_record(id)
if not r or r.server_id ~= ARGV[2] or r.placement ~= tonumber(ARGV[3]) then return 0 end
local ending = runs_to_be_ended(id, tonumber(ARGV[4]))[ARGV[2]]
if ending and (ARGV[8] == '' or ending[ARGV[8]]) then return 2 end
if r.creating_ms then
  call('HDEL', A .. 'meeting:' .. id, 'creating')
  call('HSET', A .. 'meeting:' .. id, 'confirmed_ms', ARGV[4])
  -- A run that was there already may have begun on this server under another id (runs_elsewhere).
  if ARGV[6] == '' and ARGV[8] ~= '' then call('HSET', A .. 'meeting:' .. id, 'seen_created', ARGV[8]) end
  -- The meeting belongs to this server now; the claim of a previous server ends.
  call('DEL', A .. 'detached_meeting:' .. id)
  call('EXPIRE', P .. 'meeting:' .. id, ARGV[5])
  call('EXPIRE', A .. 'meeting:' .. id, ARGV[5])
end
local key = A .. 'meeting:' .. id
local run_ms, ended_url = run_of(id)
local created = call('HGET', key, 'created')

local same = run_ms and (ARGV[8] == '' or created == ARGV[8])
if ARGV[6] ~= '' and number(ARGV[8], math.huge) < number(created, 0) then
  -- The create of a later run was answered first, so this run is over already.
  notify_later(id, tonumber(ARGV[6]), ARGV[7], r.tenant_id, tonumber(ARGV[4]))
elseif ARGV[6] ~= '' and not same then
  -- The server began a new run: the previous one has ended without a report.
  if run_ms and run_ms ~= tonumber(ARGV[6]) then
    notify_later(id, run_ms, ended_url, r.tenant_id, tonumber(ARGV[4]))
  end
  call('HDEL', key, 'ended_url', 'created')
  call('HSET', key, 'run_ms', ARGV[6])
  if ARGV[8] ~= '' then call('HSET', key, 'created', ARGV[8]) end
  if ARGV[7] ~= '' then call('HSET', key, 'ended_url', ARGV[7]) end
  if ARGV[9] then
    if ARGV[9] ~= '' then call('HSET', P .. 'meeting:' .. id, 'moderator_pw', ARGV[9]) end
    call('HSET', key, 'own_passwords', ARGV[10])
    call('HDEL', key, 'logout_url', 'logout_tenant')
    if ARGV[11] ~= '' then call('HSET', key, 'logout_url', ARGV[11], 'logout_tenant', r.tenant_id) end
  end
  -- A record written by Scalelite may not have had an appliance key before.
  if call('TTL', key) < 0 then call('EXPIRE', key, ARGV[5]) end
elseif r.creating_ms and ARGV[7] ~= '' then
  -- The request that began this run ended before it could confirm it.
  call('HSETNX', key, 'ended_url', ARGV[7])
end
return 1
