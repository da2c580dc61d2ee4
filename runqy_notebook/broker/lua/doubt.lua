-- Remembers since when something is in doubt.
--
-- The first write is a ZREM: with memory full the server refuses a script that begins with a ZADD.
--
-- KEYS  1 doubts (zset: what -> first seen so)
-- ARGV  1 seconds for which they are remembered  2.. what is in doubt
-- Gives for each the seconds since it was first seen so, as text; '-1' when that is now.
-- uses now

local at = now()
local ages = {}
for i = 2, #ARGV do
  local since = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[i]))
  if since and since <= at then
    ages[#ages + 1] = string.format('%.6f', at - since)
  else
    redis.call('ZREM', KEYS[1], ARGV[i])
    redis.call('ZADD', KEYS[1], string.format('%.6f', at), ARGV[i])
    ages[#ages + 1] = '-1'
  end
end
redis.call('EXPIRE', KEYS[1], ARGV[1])
return ages
