-- Mends a lease whose task has no entry in active. With the claim that it belongs to, the entry is
-- put back, and worker or sweep do the rest; without, the lease goes, and a task that then stands
-- nowhere, unfinished, goes to the front of its queue.
--
-- KEYS  1 doubts (zset)  2 waiting room (zset)  3.. queue bases, first the one with the lease
-- ARGV  1 task prefix  2 id  3 what was noted in doubts
-- Gives 'RELISTED', 'REQUEUED' or 'REMOVED', or why not: 'UNSOUND' (a key of the queue has a wrong
--       type), 'MOVED'.
-- uses unsound places

local base, id, key = KEYS[3], ARGV[2], ARGV[1] .. ARGV[2]
local bases = {}
for i = 3, #KEYS do bases[#bases + 1] = KEYS[i] end

if unsound(base) then return 'UNSOUND' end
local is_active = redis.call('LPOS', base .. 'active', id)
if is_active or not redis.call('ZSCORE', base .. 'lease', id) then return 'MOVED' end
local found = places(id, bases, KEYS[2])
if redis.call('ZREM', KEYS[1], ARGV[3]) == 0 then return 'MOVED' end

local held = redis.pcall('HMGET', key, 'claim', 'payload')
if string.sub(held[1] or '', 1, #base + 1) == base .. '|' then
  redis.call('LPUSH', base .. 'active', id)
  return 'RELISTED'
end
redis.call('ZREM', base .. 'lease', id)
local is_finished = false
for _, place in ipairs(found) do
  is_finished = is_finished or place[2] == 'archived' or place[2] == 'completed'
end
if is_finished or not held[2] or stands(found, base, 'lease') then return 'REMOVED' end
redis.call('HDEL', key, 'claim')
redis.call('HSET', key, 'state', 'pending')
redis.call('RPUSH', base .. 'pending', id)
return 'REQUEUED'
