-- lose(base, id, blame, call): takes a task from a worker that is gone; it goes back to the front of
-- its queue. `blame` says what is known of it:
--   0  it had not been started
--   1  it may be what killed the worker: counted in `losses`; from now on it runs apart
--   2  it is what killed the process: counted in `crashes`. The first such proof settles the loss
--      that made it a suspect, too
-- Archived after `limit` crashes, or ten times as many losses that nobody could explain. `call` is
-- {tasks, archive, limit, killers (may be nil: a blamed one is listed there), at, has_left (it is
-- out of lease and active already: an entry that is still there is a foreign worker's)}. One that was
-- to be cancelled is cancelled now. Gives redelivered, crashed, cancelled, or nil where the task was
-- nobody's any more.
local function lose(base, id, blame, call)
  local key = call.tasks .. id
  if not call.has_left then
    redis.call('ZREM', base .. 'lease', id)
    redis.call('LREM', base .. 'active', 1, id)
  end
  local held = redis.pcall('HMGET', key, 'claim', 'crashes', 'losses', 'cancel')
  if held.err then
    redis.call('ZADD', base .. 'archived', call.at, id)
  end
  if not held[1] or string.sub(held[1], 1, #base + 1) ~= base .. '|' then return nil end
  if held[4] == '1' then
    count(base, 'processed')
    bury(base, id, key, 'cancelled', call.archive, call.at)
    return 'cancelled'
  end
  redis.call('HSET', key, 'state', 'pending')
  redis.call('HDEL', key, 'claim')
  local crashes, losses = tonumber(held[2]) or 0, tonumber(held[3]) or 0
  local why
  if blame == 2 then
    if crashes == 0 and losses > 0 then crashes = 1 end
    crashes = crashes + 1
    redis.call('HSET', key, 'crashes', string.format('%.0f', crashes))
    if crashes >= call.limit then why = 'killed its worker %.0f times' end
  elseif blame == 1 then
    losses = losses + 1
    redis.call('HSET', key, 'losses', string.format('%.0f', losses))
    if losses >= 10 * call.limit then why = 'lost with its worker %.0f times' end
  end
  if blame > 0 and call.killers then
    redis.pcall('ZADD', call.killers, call.at, base .. '|' .. id)
    redis.pcall('ZREMRANGEBYRANK', call.killers, 0, -1001)
    redis.pcall('EXPIRE', call.killers, 86400)
  end
  if why then
    count(base, 'processed')
    count(base, 'failed')
    bury(base, id, key, string.format(why, blame == 2 and crashes or losses), call.archive, call.at)
    return 'crashed'
  end
  redis.call('RPUSH', base .. 'pending', id)
  call.archive.tell(base, id, 'redelivered', 'pending')
  return 'redelivered'
end
