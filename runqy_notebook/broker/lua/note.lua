-- Writes down what the handler of a claimed task says: its newest lines and its last progress.
--
-- Fenced by the token of the claim. What an earlier life of the same id said goes with the first
-- note of a new one (a task that was pushed again after it finished starts for the first time).
--
-- KEYS  1 task hash  2 log (list)  3 said (hash: lines, progress, claim)
-- ARGV  1 token  2 lines kept  3 their life (seconds)  4 lines dropped before these
--       5 progress as JSON, or nothing  6 news, as in lib/tell.lua  7 queue  8 number of lines
--       9.. the lines, then events as JSON
-- Gives 1, or 0 where the claim is another's.
-- uses now tell

local held = redis.pcall('HMGET', KEYS[1], 'claim', 'starts')
if held[1] ~= ARGV[1] then return 0 end

if redis.call('TYPE', KEYS[2]).ok ~= 'list' then redis.call('DEL', KEYS[2]) end
if redis.call('TYPE', KEYS[3]).ok ~= 'hash' then redis.call('DEL', KEYS[3]) end
if redis.call('HGET', KEYS[3], 'claim') ~= ARGV[1] then
  if held[2] == '1' then redis.call('DEL', KEYS[2], KEYS[3]) end
  redis.call('HSET', KEYS[3], 'claim', ARGV[1])
end

local last = 8 + tonumber(ARGV[8])
for i = 9, last, 500 do
  redis.call('RPUSH', KEYS[2], unpack(ARGV, i, math.min(i + 499, last)))
end
redis.call('LTRIM', KEYS[2], -tonumber(ARGV[2]), -1)
redis.call('HINCRBY', KEYS[3], 'lines', tonumber(ARGV[8]) + tonumber(ARGV[4]))
if ARGV[5] ~= '' then redis.call('HSET', KEYS[3], 'progress', ARGV[5]) end
redis.call('EXPIRE', KEYS[2], ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[3])

local _, pass_on = teller(ARGV[6], now())
local events = {}
for i = last + 1, #ARGV do events[#events + 1] = ARGV[i] end
pass_on(ARGV[7], events)
return 1
