-- What may become of a task that a worker holds. Each takes (base, id, key, outcome, keep, at);
-- `outcome` is {verb, text, number, delay}; `keep` is {completed_ttl, completed_cap, results,
-- tasks, trimmed, archive} with `archive` as `bury` wants it.
local outcomes = {}

-- Done. text: the result to store as JSON, empty for none; number: its life in seconds.
function outcomes.complete(base, id, key, outcome, keep, at)
  if outcome.text ~= '' then
    redis.call('SET', keep.results .. id, outcome.text, 'PX', math.ceil(outcome.number * 1000))
  end
  count(base, 'processed', at)
  if keep.completed_ttl <= 0 then
    redis.call('DEL', key)
    return
  end
  redis.call('HSET', key, 'state', 'completed', 'completed_at', stamp(at))
  redis.call('HDEL', key, 'claim', 'error_msg')
  redis.call('EXPIRE', key, math.ceil(keep.completed_ttl))
  redis.call('ZADD', base .. 'completed', at + keep.completed_ttl, id)
  trim(base, 'completed', keep.completed_cap, keep.tasks, keep.trimmed)
end

-- Failed, to be tried again. text: the error; number: the new retry count; delay: seconds.
function outcomes.retry(base, id, key, outcome, keep, at)
  redis.call('ZADD', base .. 'retry', at + outcome.delay, id)
  redis.call('HSET', key, 'state', 'retry', 'retry', string.format('%.0f', outcome.number),
    'error_msg', outcome.text, 'last_failed_at', stamp(at))
  redis.call('HDEL', key, 'claim')
  count(base, 'processed', at)
  count(base, 'failed', at)
end

-- Failed for good. text: the error.
function outcomes.archive(base, id, key, outcome, keep, at)
  count(base, 'processed', at)
  count(base, 'failed', at)
  bury(base, id, key, outcome.text, keep.archive, at)
end

-- Given back unfinished, without blame: next in line again.
function outcomes.release(base, id, key, outcome, keep, at)
  redis.call('RPUSH', base .. 'pending', id)
  redis.call('HSET', key, 'state', 'pending')
  redis.call('HDEL', key, 'claim')
end

-- The process that ran it apart died of it: as if it had been lost with its worker. number: the
-- crash limit.
function outcomes.crash(base, id, key, outcome, keep, at)
  redis.call('HSET', key, 'error_msg', outcome.text, 'last_failed_at', stamp(at))
  lose(base, id, true, {
    tasks = keep.tasks, archive = keep.archive, limit = outcome.number, at = at,
  })
end
