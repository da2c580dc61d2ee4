-- A row of the outbox is one body on its way to one destination. Below the prefix `outbox`:
--   :row:ID    its hash
--   :due:LANE  zset of ids of the lane: when to attempt them, or when the lease of an attempt ends
--   :done      zset of finished ids -> when
--   :off       zset of destinations that want nothing any more -> since when
--   :echoes    zset of the lanes of kernels' own receivers, see lib/echoes.lua
--   itself     zset of all ids -> when they were written
-- A lane is what a session must know to deliver: the name of a destination, or which secret signs.
-- A parcel is a line of JSON, {rows, kept}, and the body, which goes to each of these rows.
-- A row that must not go before others have ended is held: it lies in no lane, its field `held` counts
-- the others, and their fields `holds` name it. From the first of them that has an address for what
-- it took, it learns that address, `result_url`, and where it lies, `result_at`.

local outbox_life = 2592000 -- seconds that anything here lives untouched

-- is_outbox(outbox): whether these keys are what they should be, or not there yet.
local function is_outbox(outbox)
  for _, name in ipairs({'', ':done', ':off', ':echoes'}) do
    local kind = redis.call('TYPE', outbox .. name).ok
    if kind ~= 'zset' and kind ~= 'none' then return false end
  end
  return true
end

-- is_echo(lane): whether it leads to the receiver of one kernel.
local function is_echo(lane)
  return string.match(lane, '^name:echo%-%x+$')
end

-- forget(outbox, ids): removes rows and all that points at them, but for their lanes.
local function forget(outbox, ids)
  for _, id in ipairs(ids) do
    redis.call('ZREM', outbox .. ':done', id)
    redis.call('ZREM', outbox, id)
    redis.call('DEL', outbox .. ':row:' .. id)
  end
end

-- let_go(outbox, key, at): the row has ended; what it held back may go, if nothing else holds it.
local function let_go(outbox, key, at)
  local ended = redis.call('HMGET', key, 'holds', 'result_url', 'result_at')
  redis.call('HDEL', key, 'holds')
  for id in string.gmatch(ended[1] or '', '%S+') do
    local row = outbox .. ':row:' .. id
    local held = redis.pcall('HMGET', row, 'held', 'lane')
    if held[1] and held[2] then
      if (ended[2] or '') ~= '' and redis.call('HSETNX', row, 'result_url', ended[2]) == 1 then
        redis.call('HSET', row, 'result_at', ended[3] or '')
      end
      if redis.call('HINCRBY', row, 'held', -1) <= 0 then
        local due = outbox .. ':due:' .. held[2]
        redis.call('HSET', row, 'due_at', stamp(at))
        redis.call('EXPIRE', row, outbox_life)
        redis.pcall('ZADD', due, at, id)  -- a stranger's key there costs this delivery, no more
        redis.call('EXPIRE', due, outbox_life)
      end
    end
  end
end

-- finish(outbox, id, state, why, kept, at): ends a row that has left its lane. `kept` is {ttl, cap}:
-- finished rows live so many seconds, the newest so many of them. What was delivered keeps no body.
local function finish(outbox, id, state, why, kept, at)
  local key, done = outbox .. ':row:' .. id, outbox .. ':done'
  redis.call('HSET', key, 'state', state, 'error', why, 'finished_at', stamp(at))
  redis.call('HDEL', key, 'claim')
  if state == 'delivered' then redis.call('HDEL', key, 'body') end
  let_go(outbox, key, at)
  redis.call('EXPIRE', key, math.max(1, math.ceil(kept.ttl)))
  redis.call('ZADD', done, at, id)
  redis.call('EXPIRE', done, outbox_life)
  forget(outbox, redis.call('ZRANGEBYSCORE', done, '-inf', at - kept.ttl, 'LIMIT', 0, 100))
  local extra = math.min(redis.call('ZCARD', done) - kept.cap, 100)
  if extra > 0 then forget(outbox, redis.call('ZRANGE', done, 0, extra - 1)) end
end

-- post(outbox, row, body, kept, at): writes a row, unless it is there already. `row` is {id, to,
-- lane, wait, task_id, queue, status} and, where they apply, {spooled, held, holds}; `kept` is {ttl, cap, most}: beyond `most` rows in a lane the
-- oldest one fails.
local function post(outbox, row, body, kept, at)
  local key, due = outbox .. ':row:' .. row.id, outbox .. ':due:' .. row.lane
  local kind = redis.call('TYPE', due).ok
  if redis.call('EXISTS', key) == 1 or (kind ~= 'zset' and kind ~= 'none') then return end
  redis.call('HSET', key, 'to', row.to, 'lane', row.lane, 'task_id', row.task_id,
    'queue', row.queue, 'status', row.status, 'body', body, 'state', 'waiting', 'attempts', '0',
    'created_at', stamp(at), 'due_at', stamp(at + row.wait))
  for _, name in ipairs({'spooled', 'held', 'holds'}) do
    if row[name] then redis.call('HSET', key, name, row[name]) end
  end
  redis.call('EXPIRE', key, outbox_life)
  if not row.held then
    redis.call('ZADD', due, at + row.wait, row.id)
    redis.call('EXPIRE', due, outbox_life)
  end
  redis.call('ZADD', outbox, at, row.id)
  redis.call('EXPIRE', outbox, outbox_life)
  redis.call('ZREMRANGEBYSCORE', outbox, '-inf', at - outbox_life)
  if is_echo(row.lane) then
    redis.call('ZADD', outbox .. ':echoes', 'NX', at, row.lane)
    redis.call('EXPIRE', outbox .. ':echoes', outbox_life)
  end
  if redis.call('ZCARD', due) > kept.most then
    local oldest = redis.call('ZPOPMIN', due)[1]
    if redis.call('TYPE', outbox .. ':row:' .. oldest).ok == 'hash' then
      finish(outbox, oldest, 'failed', 'too many deliveries waited before it', kept, at)
    end
  end
end

-- dispatch(outbox, parcel, at): writes the rows of a parcel; whether it could.
local function dispatch(outbox, parcel, at)
  if not is_outbox(outbox) then return false end
  local head, body = string.match(parcel, '^([^\n]*)\n(.*)$')
  local told = cjson.decode(head)
  for _, row in ipairs(told.rows) do post(outbox, row, body, told.kept, at) end
  return true
end
