-- Ends what waits for a receiver that is no more: nobody else could deliver it.
--
-- KEYS  1 outbox
-- ARGV  1 lane  2 life of finished rows in seconds  3 finished rows kept
-- Gives how many rows still wait.
-- uses now outbox echoes

local at, outbox = now(), KEYS[1]
if not is_outbox(outbox) then return 0 end
leave_echo(outbox, ARGV[1], {ttl = tonumber(ARGV[2]), cap = tonumber(ARGV[3])}, at)
local left = redis.pcall('ZCARD', outbox .. ':due:' .. ARGV[1])
return type(left) == 'number' and left or 0
