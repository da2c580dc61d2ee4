-- Writes new tasks and lists them, all or none.
--
-- An id that exists is a conflict unless its task is finished, which is then replaced. With `unique`
-- the existing task is kept instead while it is unfinished or younger than the given age; `keep` keeps
-- it while it is unfinished or its result is stored, `keep failed` also where it was archived. Where
-- `keep` replaces a task that was archived and had killed its process, the new one is a suspect.
--
-- The first write is a SADD, which the server refuses while its memory is full: the producer is told,
-- and the workers keep what is left.
--
-- KEYS  1 queue base  2 known queues (set)
-- ARGV  1 task prefix  2 result prefix  3 queue name  4 what is kept: 0 nothing, 1 unique, 2 keep,
--       3 keep failed  5 unique age in seconds
--       6 due: 0 now, else unix seconds, or +seconds from now  7 news, as in lib/tell.lua
--       8 1: look at the keys of the queue; 0: they were found sound a moment ago, so look only
--         where a task is replaced
--       9 number of shared fields n  10.. n field/value pairs, then id/payload pairs
-- Gives {'WRONGTYPE', key, type, wanted}, {'CONFLICT', id, state}, or {'OK', the time, position of
--       each task that existed already...}.
-- uses now tell
-- seldom uses unsound unfit duplicates; wants unfit duplicates

local at = now()
local base, tasks = KEYS[1], ARGV[1]
local due, state = ARGV[6], 'pending'
if due ~= '0' then
  due = string.sub(due, 1, 1) == '+' and at + tonumber(due) or tonumber(due)
  if due > at then state = 'scheduled' end
end

-- Ids go to the server so many at a time: Lua holds no more values than 8,000.
local CHUNK = 1000
local first = 10 + 2 * tonumber(ARGV[9])
local ids, keys, same = {}, {}, {'OK', stamp(at)}
local numbers  -- of the ids in the arguments, where not all are written
local suspects = {}
local is_plain, in_this_call = true, {}
for i = first, #ARGV, 2 do
  local id = ARGV[i]
  if in_this_call[id] then is_plain = false end
  in_this_call[id] = true
  ids[#ids + 1], keys[#keys + 1] = id, tasks .. id
  if ARGV[4] >= '2' then keys[#keys + 1] = ARGV[2] .. id end  -- it may outlive its task's record
end
for i = 1, #keys, CHUNK do  -- mostly none exists, which is one question
  local some = redis.call('EXISTS', unpack(keys, i, math.min(i + CHUNK - 1, #keys)))
  if some > 0 then is_plain = false end
end
if ARGV[8] == '1' or not is_plain then  -- a task that is replaced leaves the queue's other sets
  local wrong = seldom().unfit(base, KEYS[2])
  if wrong then return wrong end
end
if not is_plain then
  local refusal
  local asked = {tasks = tasks, results = ARGV[2], keeps = ARGV[4], age = tonumber(ARGV[5])}
  refusal, ids, numbers, suspects = seldom().duplicates(asked, ids, state, same, at)
  if refusal then return refusal end
  if #ids == 0 then return same end
end

-- Whether news are heard is asked before the first write, as it may be refused.
local tell, _, is_heard = teller(ARGV[7], at)
local is_told = is_heard(base)

-- These are refused where a key is unfit, and no task has been written then.
local answer = redis.pcall('SADD', KEYS[2], ARGV[3])
for i = 1, #ids, CHUNK do
  if type(answer) == 'table' then break end
  local last = math.min(i + CHUNK - 1, #ids)
  if state == 'pending' then
    answer = redis.pcall('LPUSH', base .. 'pending', unpack(ids, i, last))
  else
    local due_ids = {}
    for n = i, last do
      due_ids[#due_ids + 1] = due
      due_ids[#due_ids + 1] = ids[n]
    end
    answer = redis.pcall('ZADD', base .. 'scheduled', unpack(due_ids))
  end
end
if type(answer) == 'table' then return seldom().unfit(base, KEYS[2]) or answer end

local more = state == 'scheduled' and {due_at = due} or nil
local shared = {'state', state, 'enqueued_at', same[2], unpack(ARGV, 10, first - 1)}
for n, id in ipairs(ids) do
  local key = tasks .. id
  if not is_plain and redis.call('DEL', key) == 1 then
    for _, name in ipairs({'completed', 'archived', 'retry', 'scheduled'}) do
      if name ~= state then redis.call('ZREM', base .. name, id) end
    end
    redis.call('DEL', ARGV[2] .. id)
  end
  local payload = ARGV[first + 2 * (numbers and numbers[n] or n) - 1]
  redis.call('HSET', key, 'payload', payload, unpack(shared))
  if suspects[id] then redis.call('HSET', key, 'losses', '2') end
  if is_told then tell(base, id, 'enqueued', state, more) end
end
return same
