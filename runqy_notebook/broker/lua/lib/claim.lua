-- claim(base, want, call): moves up to `want` ids from pending to active under a lease and a fresh
-- fencing token; gives {base, id, token, {the CLAIM_FIELDS...}} of each. `call` is {tasks, results,
-- waiting, lease, nonce, taken, claimed, at}; the queue's keys must be sound.
--
-- A token is `base|nonce|number`: it says where its lease lies. At most 100 ids are looked at:
--   no hash yet     into the waiting room (a producer that pushed before it wrote the hash)
--   under a lease   into the waiting room (the same id pushed twice runs once at a time)
--   not a hash      archived; the inspector names the type when asked
-- Whatever its hash says, an id that stands in pending is to run: it leaves the queue's other sets,
-- and what an earlier run left goes, a wish to cancel that run too.

local asked = {unpack(claim_fields)}
for _, name in ipairs({'claim', 'state', 'starts', 'error', 'cancel'}) do asked[#asked + 1] = name end

-- marked(base, name, ids): {n -> true} of the ids that stand in this sorted set of the queue.
local function marked(base, name, ids)
  local found = {}
  for n, score in ipairs(redis.call('ZMSCORE', base .. name, unpack(ids))) do
    if score then found[n] = true end
  end
  return found
end

-- leave_other_sets(base, ids): takes the ids out of the sets of tasks that are not pending; gives
-- {n -> true} of those that had been finished.
local function leave_other_sets(base, ids)
  local was_finished = {}
  for _, name in ipairs({'completed', 'archived', 'retry', 'scheduled'}) do
    for n in pairs(marked(base, name, ids)) do
      redis.call('ZREM', base .. name, ids[n])
      was_finished[n] = was_finished[n] or name == 'completed' or name == 'archived'
    end
  end
  return was_finished
end

local function claim(base, want, call)
  local rows = {}
  if redis.call('EXISTS', base .. 'paused') == 1 then return rows end
  local worker, stem = string.match(call.nonce, '^[^/]*'), base .. '|' .. call.nonce .. '|'
  local started_at, expires = stamp(call.at), string.format('%.6f', call.at + call.lease)
  local looked = 0
  while #rows < want and looked < 100 do
    local ids = redis.call('RPOP', base .. 'pending', math.min(want - #rows, 100 - looked))
    if not ids or #ids == 0 then break end
    looked = looked + #ids
    local leased, leases, results, keys = marked(base, 'lease', ids), {}, {}, {}
    local free, of = {}, {}
    for n, id in ipairs(ids) do
      local key = call.tasks .. id
      local held = redis.pcall('HMGET', key, unpack(asked))
      if held.err then
        redis.call('ZADD', base .. 'archived', call.at, id)
      elseif not held[2] and redis.call('EXISTS', key) == 0 then
        redis.call('ZADD', call.waiting, call.at + 0.5, base .. '|1|' .. id)
      elseif leased[n] or call.claimed[id] or is_leased(held[12], id, call.at) then
        redis.call('ZADD', call.waiting, call.at + 0.5, base .. '|0|' .. id)
      else
        call.claimed[id] = true
        free[#free + 1], of[#of + 1], keys[#keys + 1] = id, held, key
      end
    end
    local was_finished = #free > 0 and leave_other_sets(base, free)
    for n, id in ipairs(free) do
      local key, held = keys[n], of[n]
      local state, starts, error, cancel = held[13], held[14], held[15], held[16]
      held[12] = nil  -- what follows the CLAIM_FIELDS stays here
      starts = starts and tonumber(starts) or 0
      if was_finished[n] or state == 'completed' or state == 'archived' then
        redis.call('HDEL', key, 'crashes', 'losses', 'error_msg', 'last_failed_at', 'completed_at')
        held[9], held[10], starts = false, false, 0
      end
      if error then redis.call('HDEL', key, 'error') end  -- a foreign worker's, of an earlier run
      results[n] = call.results .. id
      if cancel then redis.call('HDEL', key, 'cancel') end
      redis.call('PERSIST', key)
      call.taken = call.taken + 1
      local token = stem .. call.taken
      redis.call('HSET', key, 'state', 'active', 'claim', token, 'worker', worker,
        'started_at', started_at, 'starts', starts == 0 and '1' or string.format('%.0f', starts + 1))
      leases[2 * n - 1], leases[2 * n] = expires, id
      rows[#rows + 1] = {base, id, token, held}
    end
    if #free > 0 then
      redis.call('LPUSH', base .. 'active', unpack(free))
      redis.call('ZADD', base .. 'lease', unpack(leases))
      redis.call('DEL', unpack(results))
    end
  end
  return rows
end
