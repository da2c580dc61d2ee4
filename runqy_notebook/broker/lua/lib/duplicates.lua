-- What becomes of new tasks some of which may exist. `asked` is {tasks, results, keeps, age}: what their
-- keys and those of their results begin with, and enqueue.lua's fourth and fifth argument.

-- standing(asked, id, at): the state of an unfinished task of this id, or nil; whether it is finished
-- and kept; whether what replaces it is a suspect: it was archived, and more than one death was laid
-- at its door. With a single one it was mostly a neighbour, or there when its kernel was killed.
local function standing(asked, id, at)
  local held = redis.call('HMGET', asked.tasks .. id, 'state', 'enqueued_at', 'claim', 'crashes',
    'losses')
  local finished = (held[1] == 'completed' or held[1] == 'archived') and not held[3]
  if not finished then return held[1] or 'pending', false end
  if asked.keeps < '2' then
    local age = math.max(0, at - (tonumber(held[2]) or 0))  -- a producer's clock may be ahead
    return nil, age < asked.age
  end
  if held[1] == 'archived' then
    local deaths = (tonumber(held[4]) or 0) + (tonumber(held[5]) or 0)
    return nil, asked.keeps == '3', deaths > 1
  end
  return nil, redis.call('EXISTS', asked.results .. id) == 1
end

-- duplicates(asked, ids, state, same, at): gives a refusal, or nil, the ids to write, the number of
-- each in `ids`, and which of them are suspects {id -> true}; those that exist and are kept are added
-- to `same`, counted from 0.
local function duplicates(asked, ids, state, same, at)
  local fresh, numbers, suspects, in_this_call = {}, {}, {}, {}
  for n, id in ipairs(ids) do
    local unfinished, kept, is_suspect
    local key = asked.tasks .. id
    local kind = redis.call('TYPE', key).ok
    if in_this_call[id] then
      unfinished = state
    elseif kind == 'hash' then
      unfinished, kept, is_suspect = standing(asked, id, at)
    elseif kind ~= 'none' then
      return {'WRONGTYPE', key, kind, 'hash'}
    else  -- a result may outlive its task's record
      kept = asked.keeps >= '2' and redis.call('EXISTS', asked.results .. id) == 1
    end
    if asked.keeps ~= '0' and (unfinished or kept) then
      same[#same + 1] = n - 1
    elseif unfinished then
      return {'CONFLICT', id, unfinished}
    else
      in_this_call[id] = true
      fresh[#fresh + 1], numbers[#numbers + 1] = id, n
      if is_suspect then suspects[id] = true end
    end
  end
  return nil, fresh, numbers, suspects
end
