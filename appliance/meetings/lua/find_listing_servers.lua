-- Find the servers that getMeetings has to ask: those with meetings of the caller. ARGV: tenant id ('' without
-- tenants), 1 if index_meetings.lua has just been through all records. Reply: nil if it has to do so first; else
-- {enabled, online, {id, url, secret, ...}, {id...}, {id...}}: how many servers are not disabled,
-- how many of these are online; those to ask; those of them that will probably not answer in time; those that are
-- offline and whose meetings are known. A server has meetings of a tenant if a record says so, or its last poll
-- found some without a record: breakout rooms, meetings that others created there. One that was never polled is
-- asked.
local tenant_id = ARGV[1]
local ids = call('SMEMBERS', P .. 'servers')
table.sort(ids)

local counts, indexed = {}, 0
for _, sid in ipairs(ids) do
  counts[sid] = call('SCARD', A .. 'meetings_of:' .. sid)
  indexed = indexed + counts[sid]
end

-- A Scalelite on the same stores writes records that are in no index until the next poll or sweep.
if ARGV[2] ~= '1' and (indexed ~= call('SCARD', P .. 'meetings') or call('EXISTS', A .. 'tenants_indexed') == 0) then
  return nil
end

local placed = {}
if tenant_id ~= '' then
  for _, sid in each_meeting(tenant_id) do placed[sid] = true end
end

local function has_meetings(sid)
  if tenant_id ~= '' and placed[sid] then return true end
  if tenant_id == '' and counts[sid] > 0 then return true end
  local strays = A .. 'strays:' .. sid
  return call('SISMEMBER', strays, tenant_id) == 1 or call('EXISTS', strays) == 0
end

local enabled, online, asked, hanging, offline = 0, 0, {}, {}, {}
for _, sid in ipairs(ids) do
  local s = call('HMGET', P .. 'server:' .. sid, 'url', 'state', 'online', 'secret')
  if s[1] and state_of(sid, s[2]) ~= 'disabled' then
    enabled = enabled + 1
    if s[3] == 'true' then
      online = online + 1
      if has_meetings(sid) then
        local at = #asked
        asked[at + 1], asked[at + 2], asked[at + 3] = sid, s[1], text(s[4])
        if number(call('HGET', P .. sid, 'unhealthy_counter'), 0) > 0
          or call('GET', A .. 'suspect:' .. sid) == 'silent' then
          hanging[#hanging + 1] = sid
        end
      end
    elseif counts[sid] > 0 or call('EXISTS', A .. 'detached:' .. sid) == 1 then
      offline[#offline + 1] = sid
    end
  end
end
return { enabled, online, asked, hanging, offline }
