-- Gives a task whose entry in active has no lease back to the front of its queue. Where it stands
-- elsewhere too, only the entry goes.
--
-- The noted doubt is the fence: it can be used up once, and a task that moved has none any more.
--
-- KEYS  1 doubts (zset)  2 waiting room (zset)  3.. queue bases, first the one it is active in
-- ARGV  1 task prefix  2 id  3 what was noted in doubts
-- Gives 'REQUEUED' or 'DROPPED', or why not: 'UNSOUND' (a key of the queue has a wrong type), 'MOVED'.
-- uses unsound places

local base, id, key = KEYS[3], ARGV[2], ARGV[1] .. ARGV[2]
local bases = {}
for i = 3, #KEYS do bases[#bases + 1] = KEYS[i] end

if unsound(base) then return 'UNSOUND' end
local is_held = redis.call('ZSCORE', base .. 'lease', id)
if is_held or not redis.call('LPOS', base .. 'active', id) then return 'MOVED' end
local is_elsewhere = stands(places(id, bases, KEYS[2]), base, 'active')
if redis.call('ZREM', KEYS[1], ARGV[3]) == 0 then return 'MOVED' end

redis.call('LREM', base .. 'active', 0, id)
if is_elsewhere then return 'DROPPED' end
if redis.call('TYPE', key).ok == 'hash' then
  redis.call('HDEL', key, 'claim')
  redis.call('HSET', key, 'state', 'pending')
end
redis.call('RPUSH', base .. 'pending', id)
return 'REQUEUED'
