-- Pauses queues: nobody of ours claims from them until they are resumed. Foreign workers take no
-- notice.
--
-- The first write is a DEL: with memory full the server refuses a script that begins with a SET.
--
-- KEYS  1.. queue bases
-- ARGV  1 what to write: who did it  2 how many are told of, the first n  3 news, as in lib/tell.lua
-- Gives the time, then for each 1, or 0 where it was paused already.
-- uses now tell

local at = now()
local tell = teller(ARGV[3], at)
local answers = {stamp(at)}
for i = 1, #KEYS do
  local key = KEYS[i] .. 'paused'
  local changed = 1 - redis.call('EXISTS', key)
  if changed == 1 then
    redis.call('DEL', key)
    redis.call('SET', key, ARGV[1])
    if i <= tonumber(ARGV[2]) then tell(KEYS[i], '', 'paused') end
  end
  answers[i + 1] = changed
end
return answers
