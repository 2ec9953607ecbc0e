-- The meeting of a pin, and how many wrong ones its caller has entered. A breakout room has its
-- parent's number and one digit more; it is on its parent's server, and no number of its own is
-- reserved for it.
-- ARGV: pin, parent's number or '', name of the caller's counter, most wrong pins within window_ms
-- (0: any number), window_ms, now_ms.
-- Reply: {'limited', wrong}, {'unknown', wrong} or {'found', wrong, record...}.
local pin, parent, now_ms = ARGV[1], ARGV[2], tonumber(ARGV[6])
local key, most, window_ms = A .. 'wrong_pins:' .. ARGV[3], tonumber(ARGV[4]), ARGV[5]

-- An entry may outlive its meeting, or the number it had: two sweeps remove it.
local function find(bridge)
  local id = call('HGET', P .. 'voice_bridges', bridge)
  local r = id and read_record(id)
  if not r or not r.url then return nil end
  if r.voice_bridge ~= '' and r.voice_bridge ~= bridge then return nil end
  return id, r
end

local wrong = number(call('GET', key), 0)
if most > 0 and wrong >= most then return { 'limited', wrong } end

local id, r = find(pin)
if not id and parent ~= '' then id, r = find(parent) end
if id then return { 'found', wrong, unpack(reply_record(id, r, now_ms)) } end

-- The minute begins with the first wrong pin.
if most > 0 then
  wrong = call('INCR', key)
  if wrong == 1 then call('PEXPIRE', key, window_ms) end
end
return { 'unknown', wrong }
