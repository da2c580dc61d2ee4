-- Writes new tasks and lists them, all or none.
--
-- An id that exists is a conflict unless its task is finished, which is then replaced. With `unique`
-- the existing task is kept instead while it is unfinished or younger than the given age.
--
-- KEYS  1 queue base  2 known queues (set)
-- ARGV  1 task prefix  2 result prefix  3 queue name  4 unique (0/1)  5 unique age in seconds
--       6 due: 0 now, else unix seconds, or +seconds from now  7 number of shared fields n
--       8.. n field/value pairs, then id/payload pairs
-- Gives {'WRONGTYPE', key, type, wanted}, {'CONFLICT', id, state}, or {'OK', position of each task
--       that existed already...}.
-- uses now unsound

local at = now()
local base, tasks = KEYS[1], ARGV[1]
local wrong, kind, wanted = unsound(base)
if wrong then return {'WRONGTYPE', wrong, kind, wanted} end

local due = ARGV[6]
if string.sub(due, 1, 1) == '+' then due = at + tonumber(due) else due = tonumber(due) end
local state = due > at and 'scheduled' or 'pending'

local first = 8 + 2 * tonumber(ARGV[7])
local same, kept = {'OK'}, {}
for i = first, #ARGV, 2 do
  local key = tasks .. ARGV[i]
  local type = redis.call('TYPE', key).ok
  if type == 'hash' then
    local held = redis.call('HMGET', key, 'state', 'enqueued_at')
    local finished = held[1] == 'completed' or held[1] == 'archived'
    local young = at - (tonumber(held[2]) or 0) < tonumber(ARGV[5])
    if ARGV[4] == '1' and (not finished or young) then
      same[#same + 1] = (i - first) / 2
      kept[i] = true
    elseif not finished then
      return {'CONFLICT', ARGV[i], held[1] or 'pending'}
    end
  elseif type ~= 'none' then
    return {'WRONGTYPE', key, type, 'hash'}
  end
end

for i = first, #ARGV, 2 do
  if not kept[i] then
    local id, key = ARGV[i], tasks .. ARGV[i]
    if redis.call('DEL', key) == 1 then
      for _, name in ipairs({'completed', 'archived', 'retry', 'scheduled'}) do
        redis.call('ZREM', base .. name, id)
      end
      redis.call('DEL', ARGV[2] .. id)
    end
    redis.call('HSET', key, 'payload', ARGV[i + 1], 'state', state, 'enqueued_at', stamp(at),
      unpack(ARGV, 8, first - 1))
    if state == 'pending' then
      redis.call('LPUSH', base .. 'pending', id)
    else
      redis.call('ZADD', base .. 'scheduled', due, id)
    end
  end
end
redis.call('SADD', KEYS[2], ARGV[3])
return same
