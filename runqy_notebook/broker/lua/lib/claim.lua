-- claim(base, want, call): moves up to `want` ids from pending to active under a lease and a fresh
-- fencing token; gives {base, id, token, {the CLAIM_FIELDS...}} of each. `call` is {tasks, results,
-- waiting, lease, nonce, taken, claimed, at}. Every key that it writes it has read before its first
-- write, so that one of a wrong type (see lib/unsound.lua) stops it while all ids are in their list.
--
-- A token is `base|nonce|number`: it says where its lease lies. At most 100 ids are looked at:
--   no hash yet     into the waiting room (a producer that pushed before it wrote the hash)
--   under a lease   into the waiting room (the same id pushed twice runs once at a time)
--   not a hash      archived; the inspector names the type when asked
-- Whatever its hash says, an id that stands in pending is to run: it leaves the queue's other sets,
-- and what an earlier run left goes, a wish to cancel that run too.

local asked = {unpack(claim_fields)}
for _, name in ipairs({'claim', 'state', 'starts', 'error', 'cancel'}) do asked[#asked + 1] = name end

-- read(base, name, command, ...): what it answers; nil where that key has a wrong type.
local function read(base, name, command, ...)
  local answer = redis.pcall(command, base .. name, ...)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not unsound(base) then error(answer.err) end  -- no permission, say
end

-- next_ids(base, many): the ids that are next in line; nil where they cannot be moved.
local function next_ids(base, many)
  local listed = read(base, 'pending', 'LRANGE', -many, -1)
  if not listed or #listed == 0 then return listed end
  local ids = {}
  for n = #listed, 1, -1 do ids[#ids + 1] = listed[n] end  -- the one that came first is the last
  return read(base, 'active', 'LLEN') and ids
end

-- marks(base, ids): {name -> {n -> true}} of the ids that stand in the queue's sorted sets.
local function marks(base, ids)
  local found = {}
  for _, name in ipairs({'lease', 'completed', 'archived', 'retry', 'scheduled'}) do
    local scores = read(base, name, 'ZMSCORE', unpack(ids))
    if not scores then return end
    found[name] = {}
    for n, score in ipairs(scores) do
      if score then found[name][n] = true end
    end
  end
  return found
end

-- sorted_out(base, ids, leased, call): which of these may run and what their hashes hold, and which
-- wait or cannot run; nothing is written.
local function sorted_out(base, ids, leased, call)
  local free, strange, waits = {}, {}, {}
  for n, id in ipairs(ids) do
    local key = call.tasks .. id
    local held = redis.pcall('HMGET', key, unpack(asked))
    if held.err then
      strange[#strange + 1] = id
    elseif not held[2] and redis.call('EXISTS', key) == 0 then
      waits[#waits + 1] = base .. '|1|' .. id
    elseif leased[n] or call.claimed[id] or is_leased(held[12], id, call.at) then
      waits[#waits + 1] = base .. '|0|' .. id
    else
      call.claimed[id] = true
      free[#free + 1] = {n = n, id = id, key = key, held = held}
    end
  end
  return free, strange, waits
end

-- take(base, one, was_finished, token, call): begins a run of a task; gives its row.
local function take(base, one, was_finished, token, call)
  local key, held = one.key, one.held
  local state, starts, error, cancel = held[13], held[14], held[15], held[16]
  held[12] = nil  -- what follows the CLAIM_FIELDS stays here
  starts = starts and tonumber(starts) or 0
  if was_finished or state == 'completed' or state == 'archived' then
    redis.call('HDEL', key, 'crashes', 'losses', 'error_msg', 'last_failed_at', 'completed_at')
    held[9], held[10], starts = false, false, 0
  end
  if error then redis.call('HDEL', key, 'error') end  -- a foreign worker's, of an earlier run
  if cancel then redis.call('HDEL', key, 'cancel') end
  redis.call('PERSIST', key)
  redis.call('HSET', key, 'state', 'active', 'claim', token, 'worker', call.worker,
    'started_at', call.started_at, 'starts', starts == 0 and '1' or string.format('%.0f', starts + 1))
  return {base, one.id, token, held}
end

local function claim(base, want, call)
  local rows = {}
  if redis.call('EXISTS', base .. 'paused') == 1 then return rows end
  local stem, expires = base .. '|' .. call.nonce .. '|', string.format('%.6f', call.at + call.lease)
  local looked, is_all = 0, false
  while #rows < want and looked < 100 and not is_all do
    local many = math.min(want - #rows, 100 - looked)
    local ids = next_ids(base, many)
    local found = ids and #ids > 0 and marks(base, ids)
    if not found then break end
    looked, is_all = looked + #ids, #ids < many
    local free, strange, waits = sorted_out(base, ids, found.lease, call)
    if #waits > 0 and type(redis.pcall('ZCARD', call.waiting)) ~= 'number' then
      seen[base] = {call.waiting, redis.call('TYPE', call.waiting).ok, 'zset'}
      break
    end
    redis.call('RPOP', base .. 'pending', #ids)
    for _, id in ipairs(strange) do redis.call('ZADD', base .. 'archived', call.at, id) end
    for _, member in ipairs(waits) do redis.call('ZADD', call.waiting, call.at + 0.5, member) end
    local taken, leases, results = {}, {}, {}
    for n, one in ipairs(free) do
      for _, name in ipairs({'completed', 'archived', 'retry', 'scheduled'}) do
        if found[name][one.n] then redis.call('ZREM', base .. name, one.id) end
      end
      call.taken = call.taken + 1
      local was_finished = found.completed[one.n] or found.archived[one.n]
      rows[#rows + 1] = take(base, one, was_finished, stem .. call.taken, call)
      taken[n], leases[2 * n - 1], leases[2 * n] = one.id, expires, one.id
      results[n] = call.results .. one.id
    end
    if #free > 0 then
      redis.call('LPUSH', base .. 'active', unpack(taken))
      redis.call('ZADD', base .. 'lease', unpack(leases))
      redis.call('DEL', unpack(results))
    end
  end
  return rows
end
