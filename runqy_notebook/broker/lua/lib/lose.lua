-- lose(base, id, started, call): takes a task from a worker that is gone; it goes back to the front
-- of its queue. A started one may be what killed the worker: that is counted, named in `killers`, and
-- after `limit` times the task is archived. One that was to be cancelled is cancelled now. `call` is
-- {tasks, archive, limit, killers (may be nil), at}; gives redelivered, crashed, cancelled, or nil
-- where the task was nobody's any more.
local function lose(base, id, started, call)
  local key = call.tasks .. id
  redis.call('ZREM', base .. 'lease', id)
  redis.call('LREM', base .. 'active', 1, id)
  local held = redis.pcall('HMGET', key, 'claim', 'crashes', 'cancel')
  if held.err then
    redis.call('ZADD', base .. 'archived', call.at, id)
    return nil
  end
  if not held[1] or string.sub(held[1], 1, #base + 1) ~= base .. '|' then return nil end
  if held[3] == '1' then
    count(base, 'processed', call.at)
    bury(base, id, key, 'cancelled', call.archive, call.at)
    return 'cancelled'
  end
  redis.call('HSET', key, 'state', 'pending')
  redis.call('HDEL', key, 'claim')
  if started then
    local crashes = (tonumber(held[2]) or 0) + 1
    local times = string.format('%.0f', crashes)
    redis.call('HSET', key, 'crashes', times)
    if call.killers then
      redis.pcall('ZADD', call.killers, call.at, base .. '|' .. id)
      redis.pcall('ZREMRANGEBYRANK', call.killers, 0, -1001)
      redis.pcall('EXPIRE', call.killers, 86400)
    end
    if crashes >= call.limit then
      count(base, 'processed')
      count(base, 'failed')
      bury(base, id, key, 'killed its worker ' .. times .. ' times', call.archive, call.at)
      return 'crashed'
    end
  end
  redis.call('RPUSH', base .. 'pending', id)
  call.archive.tell(base, id, 'redelivered', 'pending')
  return 'redelivered'
end
