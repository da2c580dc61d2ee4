-- Has a row of the outbox attempted again at once, from the beginning of its schedule; a destination
-- that was off is on again.
--
-- KEYS  1 outbox
-- ARGV  1 id
-- Gives OK, UNKNOWN, SENDING while an attempt is under way, or DELIVERED where nothing is left to
--       send.
-- uses now outbox

local at, outbox, id = now(), KEYS[1], ARGV[1]
local key = outbox .. ':row:' .. id
local held = redis.pcall('HMGET', key, 'to', 'lane', 'state', 'body')
if not held[1] or not is_outbox(outbox) then return 'UNKNOWN' end
local due = outbox .. ':due:' .. held[2]
local ends = redis.pcall('ZSCORE', due, id)
if held[3] == 'sending' and type(ends) == 'string' and tonumber(ends) > at then return 'SENDING' end
if not held[4] then return 'DELIVERED' end

redis.call('ZREM', outbox .. ':done', id)
redis.call('ZREM', outbox .. ':off', held[1])
redis.call('HSET', key, 'state', 'waiting', 'attempts', '0', 'due_at', stamp(at))
redis.call('HDEL', key, 'claim', 'finished_at', 'held')
redis.call('EXPIRE', key, outbox_life)
redis.call('ZADD', due, at, id)
redis.call('EXPIRE', due, outbox_life)
return 'OK'
