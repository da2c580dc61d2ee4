-- Writes a worker's sign of life and makes the queues that it serves known.
--
-- The first write is an EXPIRE: with memory full the server refuses a script that begins with a HSET,
-- and a worker that empties the queues is wanted then most.
--
-- KEYS  1 the worker's hash  2 known queues (set)
-- ARGV  1 seconds that it counts  2 start (unix seconds), or empty for now  3 number of queues n
--       4.. n queue names, then field/value pairs
-- Gives the start of the worker.
-- uses now

local at = string.format('%.0f', math.floor(now()))
local started_at = ARGV[2] ~= '' and ARGV[2] or at
local first = 4 + tonumber(ARGV[3])
redis.call('EXPIRE', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], 'started_at', started_at, 'last_beat', at, unpack(ARGV, first))
redis.call('EXPIRE', KEYS[1], ARGV[1])
for i = 4, first - 1 do
  redis.pcall('SADD', KEYS[2], ARGV[i]) -- a stranger's key of another type costs the list, no more
end
return started_at
