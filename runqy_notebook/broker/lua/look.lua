-- Looks at some tasks, everything of them at one moment. Reads only. Each id costs a walk along the
-- lists of every queue: the caller asks for fewer at a time where these are long.
--
-- KEYS  1 waiting room (zset)  2.. queue bases
-- ARGV  1 task prefix  2.. ids
-- Gives for each id {type of its key, seconds to live (-1: for ever), 1 when it has a payload,
--       {state, claim, queue, error_msg, completed_at, last_failed_at}, places as in lib/places.lua}.
-- uses places

local bases = {}
for i = 2, #KEYS do bases[#bases + 1] = KEYS[i] end

local seen = {}
for i = 2, #ARGV do
  local id, key = ARGV[i], ARGV[1] .. ARGV[i]
  local kind = redis.call('TYPE', key).ok
  local held, has_payload = {}, 0
  if kind == 'hash' then
    held = redis.call('HMGET', key, 'state', 'claim', 'queue', 'error_msg', 'completed_at',
      'last_failed_at')
    has_payload = redis.call('HEXISTS', key, 'payload')
  end
  seen[#seen + 1] = {kind, redis.call('TTL', key), has_payload, held, places(id, bases, KEYS[1])}
end
return seen
