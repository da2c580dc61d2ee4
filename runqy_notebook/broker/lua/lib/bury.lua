-- bury(base, id, key, reason, keep, at): archives a task that has left every list, with the reason.
-- `keep` is {ttl, cap, tasks, trimmed, tell, owe}; `owe` is nil where what is to be delivered is written
-- otherwise. A hash is made where there is none, so that the reason
-- can be read; a key of another type is left as it is.
local function bury(base, id, key, reason, keep, at)
  redis.call('ZADD', base .. 'archived', at, id)
  if keep.owe then keep.owe(base, id, key, reason) end
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
