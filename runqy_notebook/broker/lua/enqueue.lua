-- Writes new tasks and lists them, all or none.
--
-- An id that exists is a conflict unless its task is finished, which is then replaced. With `unique`
-- the existing task is kept instead while it is unfinished or younger than the given age; `keep` keeps
-- it while it is unfinished or its result is stored, `keep failed` also where it was archived.
--
-- The first write is a SADD, which the server refuses while its memory is full: the producer is told,
-- and the workers keep what is left.
--
-- KEYS  1 queue base  2 known queues (set)
-- ARGV  1 task prefix  2 result prefix  3 queue name  4 what is kept: 0 nothing, 1 unique, 2 keep,
--       3 keep failed  5 unique age in seconds
--       6 due: 0 now, else unix seconds, or +seconds from now  7 news, as in lib/tell.lua
--       8 number of shared fields n  9.. n field/value pairs, then id/payload pairs
-- Gives {'WRONGTYPE', key, type, wanted}, {'CONFLICT', id, state}, or {'OK', the time, position of
--       each task that existed already...}.
-- uses now unsound tell

local at = now()
local base, tasks = KEYS[1], ARGV[1]
local wrong = unsound(base)
if wrong then return {'WRONGTYPE', unpack(wrong)} end
local listed = redis.call('TYPE', KEYS[2]).ok
if listed ~= 'set' and listed ~= 'none' then return {'WRONGTYPE', KEYS[2], listed, 'set'} end

local due = ARGV[6]
if string.sub(due, 1, 1) == '+' then due = at + tonumber(due) else due = tonumber(due) end
local state = due > at and 'scheduled' or 'pending'

local keeps_results = ARGV[4] == '2' or ARGV[4] == '3'

-- standing(id): the state of an unfinished task of this id, or nil; whether it is finished and kept.
local function standing(id)
  local held = redis.call('HMGET', tasks .. id, 'state', 'enqueued_at', 'claim')
  local finished = (held[1] == 'completed' or held[1] == 'archived') and not held[3]
  if not finished then return held[1] or 'pending', false end
  local age = math.max(0, at - (tonumber(held[2]) or 0))  -- a producer's clock may be ahead
  if not keeps_results then return nil, age < tonumber(ARGV[5]) end
  if held[1] == 'archived' then return nil, ARGV[4] == '3' end
  return nil, redis.call('EXISTS', ARGV[2] .. id) == 1
end

-- Ids go to the server so many at a time: Lua holds no more values than 8,000.
local CHUNK = 1000
local first = 9 + 2 * tonumber(ARGV[8])
local function any_exist(keys)  -- mostly none does, which is one question
  for i = 1, #keys, CHUNK do
    if redis.call('EXISTS', unpack(keys, i, math.min(i + CHUNK - 1, #keys))) > 0 then return true end
  end
end
local keys, results = {}, {}
for i = first, #ARGV, 2 do
  keys[#keys + 1] = tasks .. ARGV[i]
  if keeps_results then results[#results + 1] = ARGV[2] .. ARGV[i] end
end
local some_exist = any_exist(keys) or any_exist(results)

local same, fresh, ids, in_this_call = {'OK', stamp(at)}, {}, {}, {}
for n, key in ipairs(keys) do
  local i = first + 2 * (n - 1)
  local id = ARGV[i]
  local unfinished, kept
  if in_this_call[id] then
    unfinished = state
  elseif some_exist then
    local kind = redis.call('TYPE', key).ok
    if kind == 'hash' then
      unfinished, kept = standing(id)
    elseif kind ~= 'none' then
      return {'WRONGTYPE', key, kind, 'hash'}
    else  -- a result may outlive its task's record
      kept = keeps_results and redis.call('EXISTS', results[n]) == 1
    end
  end
  if ARGV[4] ~= '0' and (unfinished or kept) then
    same[#same + 1] = n - 1
  elseif unfinished then
    return {'CONFLICT', id, unfinished}
  else
    in_this_call[id] = true
    ids[#ids + 1] = id
    fresh[#fresh + 1] = i
  end
end

if #ids > 0 then redis.call('SADD', KEYS[2], ARGV[3]) end
local tell = teller(ARGV[7], at)
local more = state == 'scheduled' and {due_at = due} or nil
local shared = {'state', state, 'enqueued_at', stamp(at), unpack(ARGV, 9, first - 1)}
for n, id in ipairs(ids) do
  local key = tasks .. id
  if some_exist and redis.call('DEL', key) == 1 then
    for _, name in ipairs({'completed', 'archived', 'retry', 'scheduled'}) do
      redis.call('ZREM', base .. name, id)
    end
    redis.call('DEL', ARGV[2] .. id)
  end
  redis.call('HSET', key, 'payload', ARGV[fresh[n] + 1], unpack(shared))
  tell(base, id, 'enqueued', state, more)
end
for i = 1, #ids, CHUNK do
  local last = math.min(i + CHUNK - 1, #ids)
  if state == 'pending' then
    redis.call('LPUSH', base .. 'pending', unpack(ids, i, last))
  else
    local due_ids = {}
    for n = i, last do
      due_ids[#due_ids + 1] = due
      due_ids[#due_ids + 1] = ids[n]
    end
    redis.call('ZADD', base .. 'scheduled', unpack(due_ids))
  end
end
return same
