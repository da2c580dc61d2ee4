-- Writes down what came of an attempt to deliver a row.
--
-- KEYS  1 outbox
-- ARGV  1 id  2 token  3 verb (later/delivered/failed/gone)  4 seconds until the next attempt
--       5 status of the answer, or ''  6 why it failed, or ''  7 seconds it took
--       8 life of finished rows in seconds  9 finished rows kept  10 news, as in lib/tell.lua, or ''
--       11 base of the task's queue  12 what listeners are told
--       13 address of what was delivered, or ''  14 where that lies, for a fresh address, or ''
-- Gives the number of attempts made, or 0 where the row is somebody else's by now.
-- uses now tell outbox

local at, outbox, id = now(), KEYS[1], ARGV[1]
local key = outbox .. ':row:' .. id
local held = redis.pcall('HMGET', key, 'claim', 'lane', 'to', 'attempts', 'task_id')
if held[1] ~= ARGV[2] or not is_outbox(outbox) then return 0 end

local due = outbox .. ':due:' .. held[2]
local made = (tonumber(held[4]) or 0) + 1
redis.call('ZREM', due, id)
redis.call('HSET', key, 'attempts', string.format('%.0f', made), 'attempted_at', stamp(at),
  'answer', ARGV[5], 'error', ARGV[6], 'seconds', ARGV[7])
if ARGV[13] ~= '' then redis.call('HSET', key, 'result_url', ARGV[13], 'result_at', ARGV[14]) end
if ARGV[10] ~= '' then
  local more = {attempt = made, error = ARGV[6] ~= '' and ARGV[6] or nil, note = ARGV[12]}
  teller(ARGV[10], at)(ARGV[11], held[5], 'delivered', nil, more)
end
if ARGV[3] == 'later' then
  local when = at + tonumber(ARGV[4])
  redis.call('HSET', key, 'state', 'waiting', 'due_at', stamp(when))
  redis.call('HDEL', key, 'claim')
  redis.call('ZADD', due, when, id)
  redis.call('EXPIRE', due, outbox_life)
  redis.call('EXPIRE', key, outbox_life)
  return made
end
if ARGV[3] == 'gone' then
  local off = outbox .. ':off'
  redis.call('ZADD', off, at, held[3])
  redis.call('ZREMRANGEBYRANK', off, 0, -1001)
  redis.call('EXPIRE', off, outbox_life)
end
finish(outbox, id, ARGV[3], ARGV[6], {ttl = tonumber(ARGV[8]), cap = tonumber(ARGV[9])}, at)
return made
