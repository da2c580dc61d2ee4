-- Prolongs the leases of the tasks that a worker still holds.
--
-- The first write is a ZREM: with memory full the server refuses a script that begins with a ZADD.
--
-- KEYS  1.. queue bases
-- ARGV  1 task prefix  2 lease seconds  3.. three for each task: base number, id, token
-- Gives for each task 'HELD', 'LOST' or, held but asked to stop, 'CANCELLED'.
-- uses now

local expires = now() + tonumber(ARGV[2])
local answers = {}
for i = 3, #ARGV, 3 do
  local lease, id = KEYS[tonumber(ARGV[i])] .. 'lease', ARGV[i + 1]
  local held = redis.pcall('HMGET', ARGV[1] .. id, 'claim', 'cancel')
  if held[1] == ARGV[i + 2] and redis.pcall('ZREM', lease, id) == 1 then
    redis.call('ZADD', lease, expires, id)
    answers[#answers + 1] = held[2] == '1' and 'CANCELLED' or 'HELD'
  else
    answers[#answers + 1] = 'LOST'
  end
end
return answers
