-- What may become of a task that a worker holds. Each takes (base, id, key, outcome, keep, at) and
-- tells whether that was the task's end; `outcome` is {verb, text, number, delay, told}; `keep` is
-- {completed_ttl, results, archive, tasks, has_completed} with `archive` as `bury` wants it;
-- `has_completed` is told the bases to trim.
local outcomes = {}

-- Done. text: the result to store as JSON, empty for none; number: its life in seconds; told: the
-- result that listeners get, '=' for that same text, empty for none.
function outcomes.complete(base, id, key, outcome, keep, at)
  if outcome.text ~= '' then
    redis.call('SET', keep.results .. id, outcome.text, 'PX', math.ceil(outcome.number * 1000))
  end
  count(base, 'processed')
  local told = outcome.told == '=' and outcome.text or outcome.told
  keep.archive.tell(base, id, 'completed', 'completed', nil, told ~= '' and told)
  if keep.completed_ttl <= 0 then
    redis.call('DEL', key)
    return true
  end
  redis.call('HSET', key, 'state', 'completed', 'completed_at', stamp(at))
  redis.call('HDEL', key, 'claim', 'error_msg')
  redis.call('EXPIRE', key, math.ceil(keep.completed_ttl))
  redis.call('ZADD', base .. 'completed', at + keep.completed_ttl, id)
  keep.has_completed[base] = true
  return true
end

-- Failed, to be tried again. text: the error; number: the new retry count; delay: seconds.
function outcomes.retry(base, id, key, outcome, keep, at)
  redis.call('ZADD', base .. 'retry', at + outcome.delay, id)
  redis.call('HSET', key, 'state', 'retry', 'retry', string.format('%.0f', outcome.number),
    'error_msg', outcome.text, 'last_failed_at', stamp(at))
  redis.call('HDEL', key, 'claim')
  count(base, 'processed')
  count(base, 'failed')
  local more = {error = outcome.text, due_at = at + outcome.delay, attempt = outcome.number}
  keep.archive.tell(base, id, 'retried', 'retry', more)
end

-- Failed for good. text: the error.
function outcomes.archive(base, id, key, outcome, keep, at)
  count(base, 'processed')
  count(base, 'failed')
  bury(base, id, key, outcome.text, keep.archive, at)
  return true
end

-- Somebody asked to cancel it while it ran: that counts, whatever the handler made of it.
function outcomes.cancel(base, id, key, outcome, keep, at)
  count(base, 'processed')
  bury(base, id, key, 'cancelled', keep.archive, at)
end

-- Given back unfinished, without blame: next in line again.
function outcomes.release(base, id, key, outcome, keep, at)
  redis.call('RPUSH', base .. 'pending', id)
  redis.call('HSET', key, 'state', 'pending')
  redis.call('HDEL', key, 'claim')
  keep.archive.tell(base, id, 'released', 'pending')
end

-- The process that ran it apart from the kernel died: as if it had been lost with its worker.
-- number: the crash limit; told: '?' where it may have died of another task.
function outcomes.crash(base, id, key, outcome, keep, at)
  redis.call('HSET', key, 'error_msg', outcome.text, 'last_failed_at', stamp(at))
  return lose(base, id, outcome.told == '?' and 1 or 2, {
    tasks = keep.tasks, archive = keep.archive, limit = outcome.number, at = at,
    has_left = true,
  }) == 'crashed'
end
