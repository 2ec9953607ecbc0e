-- Find the meeting of a pin, and count the wrong pins of its caller. The pin of a breakout room is its
-- parent's number with one more digit; the room is on its parent's server and has no reserved number.
-- ARGV: pin, parent's number or '', key of the caller's counter, maximum of wrong pins within window_ms
-- (0: unlimited), window_ms, now_ms.
-- Reply: {'limited', wrong}, {'unknown', wrong} or {'found', wrong, record...}.
local pin, parent, now_ms = ARGV[1], ARGV[2], tonumber(ARGV[6])
local key, max_wrong, window_ms = A .. 'wrong_pins:' .. ARGV[3], tonumber(ARGV[4]), ARGV[5]

-- An entry may be left over from an ended meeting, or an earlier number of it; sweeps remove it.
local function find(bridge)
  local id = call('HGET', P .. 'voice_bridges', bridge)
  local r = id and read_record(id)
  if not r or not r.url then return nil end
  if r.voice_bridge ~= '' and r.voice_bridge ~= bridge then return nil end
  return id, r
end

local wrong = number(call('GET', key), 0)
if max_wrong > 0 and wrong >= max_wrong then return { 'limited', wrong } end

local id, r = find(pin)
if not id and parent ~= '' then id, r = find(parent) end
if id then return { 'found', wrong, unpack(reply_record(id, r, now_ms)) } end

-- The window begins with the first wrong pin.
if max_wrong > 0 then
  wrong = call('INCR', key)
  if wrong == 1 then call('PEXPIRE', key, window_ms) end
end
return { 'unknown', wrong }
