-- Puts a task that stands nowhere to the front of its queue: one that an outsider lost, or one that
-- was archived for want of a hash that came late.
--
-- KEYS  1 doubts (zset)  2 waiting room (zset)  3.. queue bases, first the one it goes to
-- ARGV  1 task prefix  2 id  3 what was noted in doubts
-- Gives 'REQUEUED', or why not: 'UNSOUND' (a key of the queue has a wrong type), 'GONE' (no hash with
--       a payload), 'LISTED' (it stands somewhere) or 'FINISHED'.
-- uses unsound places

local base, id, key = KEYS[3], ARGV[2], ARGV[1] .. ARGV[2]
local bases = {}
for i = 3, #KEYS do bases[#bases + 1] = KEYS[i] end

if unsound(base) then return 'UNSOUND' end
if redis.call('TYPE', key).ok ~= 'hash' or redis.call('HEXISTS', key, 'payload') == 0 then return 'GONE' end
local found = places(id, bases, KEYS[2])
if stands(found) then return 'LISTED' end
local held = redis.call('HMGET', key, 'state', 'error_msg')
local is_late = string.sub(held[2] or '', 1, 12) == 'no task hash'
local is_finished = #found > 0 or held[1] == 'completed' or held[1] == 'archived'
if is_finished and not is_late then return 'FINISHED' end

redis.call('ZREM', KEYS[1], ARGV[3])
for _, place in ipairs(found) do redis.call('ZREM', place[1] .. place[2], id) end
if is_late then redis.call('HDEL', key, 'error_msg', 'last_failed_at') end
redis.call('HDEL', key, 'claim')
redis.call('HSET', key, 'state', 'pending')
redis.call('PERSIST', key)
redis.call('RPUSH', base .. 'pending', id)
return 'REQUEUED'
