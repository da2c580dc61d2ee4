-- claim(base, want, call): moves up to `want` ids from pending to active under a lease and a fresh
-- fencing token; gives {base, id, token} of each. `call` is {tasks, results, waiting, lease, nonce,
-- taken, at}; the queue's keys must be sound.
--
-- A token is `base|nonce|number`: it says where its lease lies. At most 100 ids are looked at:
--   no hash yet     into the waiting room (a producer that pushed before it wrote the hash)
--   under a lease   into the waiting room (the same id pushed twice runs once at a time)
--   not a hash      archived; the inspector names the type when asked
-- Whatever its hash says, an id that stands in pending is to run: it leaves the queue's other sets,
-- and what an earlier run left goes.

-- is_leased(claim, id, at): whether that claim's lease still runs, in whichever queue.
local function is_leased(claim, id, at)
  local base = claim and string.match(claim, '^([^|]*)|')
  local expires = base and redis.pcall('ZSCORE', base .. 'lease', id)
  return type(expires) == 'string' and tonumber(expires) > at
end

-- is_rerun(base, id, state): takes the id out of the sets of tasks that are not pending; whether it
-- had been finished.
local function is_rerun(base, id, state)
  local found = redis.call('ZREM', base .. 'completed', id) + redis.call('ZREM', base .. 'archived', id)
  redis.call('ZREM', base .. 'retry', id)
  redis.call('ZREM', base .. 'scheduled', id)
  return found > 0 or state == 'completed' or state == 'archived'
end

local function claim(base, want, call)
  local rows = {}
  if redis.call('EXISTS', base .. 'paused') == 1 then return rows end
  for _ = 1, 100 do
    if #rows == want then break end
    local id = redis.call('RPOP', base .. 'pending')
    if not id then break end
    local key = call.tasks .. id
    local kind = redis.call('TYPE', key).ok
    local held = kind == 'hash' and redis.call('HMGET', key, 'claim', 'state', 'starts', 'error')
    if kind == 'none' then
      redis.call('ZADD', call.waiting, call.at + 0.5, base .. '|1|' .. id)
    elseif not held then
      redis.call('ZADD', base .. 'archived', call.at, id)
    elseif redis.call('ZSCORE', base .. 'lease', id) or is_leased(held[1], id, call.at) then
      redis.call('ZADD', call.waiting, call.at + 0.5, base .. '|0|' .. id)
    else
      local starts = tonumber(held[3]) or 0
      if is_rerun(base, id, held[2]) then
        redis.call('HDEL', key, 'crashes', 'error_msg', 'last_failed_at', 'completed_at')
        starts = 0
      end
      if held[4] then redis.call('HDEL', key, 'error') end  -- a foreign worker's, of an earlier run
      redis.call('DEL', call.results .. id)
      redis.call('PERSIST', key)
      call.taken = call.taken + 1
      local token = base .. '|' .. call.nonce .. '|' .. call.taken
      redis.call('LPUSH', base .. 'active', id)
      redis.call('ZADD', base .. 'lease', call.at + call.lease, id)
      redis.call('HSET', key, 'state', 'active', 'claim', token,
        'started_at', stamp(call.at), 'starts', string.format('%.0f', starts + 1))
      rows[#rows + 1] = {base, id, token}
    end
  end
  return rows
end
