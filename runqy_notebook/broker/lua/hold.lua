-- Lengthens the lease of an attempt that takes its time.
--
-- KEYS  1 outbox
-- ARGV  1 id  2 token  3 lease seconds from now
-- Gives 1, or 0 where the row is somebody else's by now.
-- uses now outbox

local at, outbox, id = now(), KEYS[1], ARGV[1]
local held = redis.pcall('HMGET', outbox .. ':row:' .. id, 'claim', 'lane')
if held[1] ~= ARGV[2] or not is_outbox(outbox) then return 0 end
redis.call('ZADD', outbox .. ':due:' .. held[2], 'XX', at + tonumber(ARGV[3]), id)
return 1
