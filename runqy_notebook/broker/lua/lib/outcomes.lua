-- What else than completed (lib/complete.lua) may become of a task that a worker holds. Each takes
-- (base, id, key, outcome, archive, at) and tells whether that was the task's end; `outcome` is
-- {text, number, delay, told}, `archive` is as `bury` wants it.
local outcomes = {}

-- Failed, to be tried again. text: the error; number: the new retry count; delay: seconds.
function outcomes.retry(base, id, key, outcome, archive, at)
  redis.call('ZADD', base .. 'retry', at + outcome.delay, id)
  redis.call('HSET', key, 'state', 'retry', 'retry', string.format('%.0f', outcome.number),
    'error_msg', outcome.text, 'last_failed_at', stamp(at))
  redis.call('HDEL', key, 'claim')
  count(base, 'processed')
  count(base, 'failed')
  local more = {error = outcome.text, due_at = at + outcome.delay, attempt = outcome.number}
  archive.tell(base, id, 'retried', 'retry', more)
end

-- Failed for good. text: the error.
function outcomes.archive(base, id, key, outcome, archive, at)
  count(base, 'processed')
  count(base, 'failed')
  bury(base, id, key, outcome.text, archive, at)
  return true
end

-- Somebody asked to cancel it while it ran: that counts, whatever the handler made of it.
function outcomes.cancel(base, id, key, outcome, archive, at)
  count(base, 'processed')
  bury(base, id, key, 'cancelled', archive, at)
end

-- Given back unfinished, without blame: next in line again.
function outcomes.release(base, id, key, outcome, archive, at)
  redis.call('RPUSH', base .. 'pending', id)
  redis.call('HSET', key, 'state', 'pending')
  redis.call('HDEL', key, 'claim')
  archive.tell(base, id, 'released', 'pending')
end

-- The process that ran it apart from the kernel died: as if it had been lost with its worker.
-- number: the crash limit; told: '?' where it may have died of another task.
function outcomes.crash(base, id, key, outcome, archive, at)
  redis.call('HSET', key, 'error_msg', outcome.text, 'last_failed_at', stamp(at))
  return lose(base, id, outcome.told == '?' and 1 or 2, {
    tasks = archive.tasks, archive = archive, limit = outcome.number, at = at,
    has_left = true,
  }) == 'crashed'
end
