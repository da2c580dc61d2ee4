-- claim(base, want, call): moves up to `want` ids from pending to active under a lease and a fresh
-- fencing token; gives {base, id, token, {the CLAIM_FIELDS...}} of each. `call` is {tasks, results,
-- waiting, lease, nonce, taken, claimed, at}; the queue's keys must be sound.
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

-- starts_of(base, id, key, held, call): how often the task was started before, after clearing away
-- what an earlier run left. A hash that no worker has touched has nothing to clear.
local function starts_of(base, id, key, held, call)
  local starts = tonumber(held[3]) or 0
  local is_fresh = (not held[2] or held[2] == 'pending') and not held[5] and not held[6]
  if is_fresh and starts == 0 then return 0 end
  if is_rerun(base, id, held[2]) then
    redis.call('HDEL', key, 'cancel', 'crashes', 'losses', 'error_msg', 'last_failed_at', 'completed_at')
    held[15], held[16] = false, false
    starts = 0
  end
  if held[4] then redis.call('HDEL', key, 'error') end  -- a foreign worker's, of an earlier run
  redis.call('DEL', call.results .. id)
  return starts
end

local function claim(base, want, call)
  local rows = {}
  if redis.call('EXISTS', base .. 'paused') == 1 then return rows end
  local looked = 0
  while #rows < want and looked < 100 do
    local ids = redis.call('RPOP', base .. 'pending', math.min(want - #rows, 100 - looked))
    if not ids or #ids == 0 then break end
    looked = looked + #ids
    local leased = redis.call('ZMSCORE', base .. 'lease', unpack(ids))
    local leases = {}
    for n, id in ipairs(ids) do
      local key = call.tasks .. id
      local held = redis.pcall('HMGET', key, 'claim', 'state', 'starts', 'error', 'completed_at',
        'last_failed_at', 'type', 'payload', 'retry', 'max_retry', 'timeout', 'deadline', 'store',
        'result_ttl', 'crashes', 'losses')
      if held.err then
        redis.call('ZADD', base .. 'archived', call.at, id)
      elseif not held[8] and redis.call('EXISTS', key) == 0 then
        redis.call('ZADD', call.waiting, call.at + 0.5, base .. '|1|' .. id)
      elseif leased[n] or call.claimed[id] or is_leased(held[1], id, call.at) then
        redis.call('ZADD', call.waiting, call.at + 0.5, base .. '|0|' .. id)
      else
        local starts = starts_of(base, id, key, held, call)
        redis.call('PERSIST', key)
        call.taken = call.taken + 1
        call.claimed[id] = true
        local token = base .. '|' .. call.nonce .. '|' .. call.taken
        redis.call('HSET', key, 'state', 'active', 'claim', token,
          'started_at', stamp(call.at), 'starts', string.format('%.0f', starts + 1))
        leases[#leases + 1] = call.at + call.lease
        leases[#leases + 1] = id
        redis.call('LPUSH', base .. 'active', id)
        rows[#rows + 1] = {base, id, token, {unpack(held, 7, 16)}}
      end
    end
    if #leases > 0 then redis.call('ZADD', base .. 'lease', unpack(leases)) end
  end
  return rows
end
