-- Has paused queues claimed from again.
--
-- KEYS  1.. queue bases
-- ARGV  1 how many are told of, the first n  2 news, as in lib/tell.lua
-- Gives the time, then for each 1, or 0 where it was not paused.
-- uses now tell

local at = now()
local tell = teller(ARGV[2], at)
local answers = {stamp(at)}
for i = 1, #KEYS do
  local changed = redis.call('DEL', KEYS[i] .. 'paused')
  if changed == 1 and i <= tonumber(ARGV[1]) then tell(KEYS[i], '', 'resumed') end
  answers[i + 1] = changed
end
return answers
