-- trim(base, state, cap, tasks, trimmed): keeps the newest `cap` finished tasks of a queue, at most
-- 200 removals a call; what goes is counted in the hash `trimmed`, by queue base.
local function trim(base, state, cap, tasks, trimmed)
  local extra = math.min(redis.call('ZCARD', base .. state) - cap, 200)
  if extra <= 0 then return end
  local popped = redis.call('ZPOPMIN', base .. state, extra)
  for i = 1, #popped, 2 do
    local held = redis.pcall('HMGET', tasks .. popped[i], 'state', 'claim')
    if held[1] == state and not held[2] then
      redis.call('DEL', tasks .. popped[i])
    end
  end
  redis.pcall('HINCRBY', trimmed, base, extra)
end

-- bury(base, id, key, reason, keep, at): archives a task that has left every list, with the reason.
-- `keep` is {ttl, cap, tasks, trimmed, tell}. A hash is made where there is none, so that the reason
-- can be read; a key of another type is left as it is.
local function bury(base, id, key, reason, keep, at)
  redis.call('ZADD', base .. 'archived', at, id)
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' or kind == 'none' then
    redis.call('HSET', key, 'state', 'archived', 'error_msg', reason, 'last_failed_at', stamp(at))
    redis.call('HDEL', key, 'claim', 'cancel')
    if keep.ttl > 0 then
      redis.call('EXPIRE', key, math.ceil(keep.ttl))
    else
      redis.call('DEL', key)
      redis.call('ZREM', base .. 'archived', id)
    end
  end
  trim(base, 'archived', keep.cap, keep.tasks, keep.trimmed)
  keep.tell(base, id, 'archived', 'archived', {error = reason})
end
