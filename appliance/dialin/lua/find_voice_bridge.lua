-- The meeting of a PIN; if there is none, the wrong PIN is counted. A right PIN is never refused and
-- never counted: callers without a number share a counter, and anyone can invent a number.
-- A breakout room has its parent's number and one digit more; it is on its parent's server, and no
-- number of its own is reserved for it.
-- ARGV: PIN, parent's number or '', now_ms, then three times the name of a counter ('': none) and
-- its window in ms, which begins with the first wrong PIN: of the call, the number, the gateway.
-- Reply: {'found', the server's dial_in and dial_in_port ('' if not set), record...} or {'unknown', wrong PINs of the call, the number, the gateway}.
local pin, parent, now_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

-- An entry may be left over from an ended meeting, or an earlier number of it; sweeps remove it.
local function find(bridge)
  local id = call('HGET', P .. 'voice_bridges', bridge)
  local r = id and read_record(id)
  if not r or not r.url then return nil end
  if r.voice_bridge ~= '' and r.voice_bridge ~= bridge then return nil end
  return id, r
end

local id, r = find(pin)
if not id and parent ~= '' then id, r = find(parent) end
if id then
  local s = call('HMGET', A .. 'server:' .. r.server_id, 'dial_in', 'dial_in_port')
  return { 'found', text(s[1]), text(s[2]), unpack(reply_record(id, r, now_ms)) }
end

local reply = { 'unknown' }
for i = 4, 8, 2 do
  local wrong = 0
  if ARGV[i] ~= '' then
    local key = A .. 'wrong_pins:' .. ARGV[i]
    wrong = call('INCR', key)
    if wrong == 1 then call('PEXPIRE', key, ARGV[i + 1]) end
  end
  reply[#reply + 1] = wrong
end
return reply
