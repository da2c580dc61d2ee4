-- Makes a task the next one to run: out of its queue's middle, before its time, or, finished, once
-- more with the same payload and all its retries; what its earlier run left goes.
--
-- KEYS  1 waiting room (zset)  2.. queue bases
-- ARGV  1 task prefix  2 result prefix  3 log prefix  4 said prefix  5 id  6 queue base for a finished
--       task that stands nowhere, or empty  7 news, as in lib/tell.lua
-- Gives the time, then {'NEXT', base} (it waited), {'AGAIN', base} (it was finished), {'RUNNING', base},
--       {'FOREIGN', base}, {'WAITING', base} (for its hash, or for its present run to end), or a
--       refusal as in lib/whereabouts.lua.
-- uses now unsound places tell whereabouts

local at = now()
local id, key = ARGV[5], ARGV[1] .. ARGV[5]
local bases = {}
for i = 2, #KEYS do bases[#bases + 1] = KEYS[i] end

local function run()
  local it = whereabouts(id, key, bases, KEYS[1])
  if it.refusal then return it.refusal end
  if it.running then return {'RUNNING', it.running} end
  if it.foreign then return {'FOREIGN', it.foreign} end
  for _, place in ipairs(it.found) do
    if place[2] == 'waiting' then return {'WAITING', place[1]} end
  end
  if it.kind == 'none' or (it.finished and not it.held[3]) then return {'GONE'} end
  if it.kind ~= 'hash' then return {'WRONGTYPE', key, it.kind, 'hash'} end

  local base = it.base or (it.found[1] or {ARGV[6]})[1]
  if base == '' then return {'NOWHERE', it.finished} end
  local flaw = unsound(base)
  if flaw then return {'WRONGTYPE', flaw[1], flaw[2], flaw[3]} end
  redis.call('HDEL', key, 'claim', 'cancel')
  pluck(it, id, KEYS[1])
  redis.call('HSET', key, 'state', 'pending')
  if it.finished then
    redis.call('DEL', ARGV[2] .. id, ARGV[3] .. id, ARGV[4] .. id)
    redis.call('HDEL', key, 'crashes', 'starts', 'error', 'error_msg', 'last_failed_at',
      'started_at', 'completed_at', 'worker')
    redis.call('HSET', key, 'retry', '0', 'enqueued_at', stamp(at))
    redis.call('PERSIST', key)
  end
  redis.call('RPUSH', base .. 'pending', id)
  teller(ARGV[7], at)(base, id, it.finished and 'enqueued' or 'due', 'pending')
  return {it.finished and 'AGAIN' or 'NEXT', base}
end

return {stamp(at), run()}
