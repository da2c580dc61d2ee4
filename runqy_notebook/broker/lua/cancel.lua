-- Cancels tasks that are not finished.
--
-- One that waits, wherever, is archived as cancelled at once and never claimed. One that runs is
-- marked: its worker hears of it when it renews the lease, sooner by a message; whatever becomes of
-- it then, it is archived as cancelled (settle, lose). One that a foreign worker runs stays as it is.
--
-- The first write is a removal: with memory full the server refuses a script that begins with a HSET.
--
-- KEYS  1 waiting room (zset)  2 trimmed (hash)  3 outbox  4.. queue bases
-- ARGV  1 task prefix  2 archived ttl  3 archived cap  4 channel of messages to workers
--       5 news, as in lib/tell.lua  6 terms of deliveries, as in lib/owe.lua  7.. ids
-- Gives the time, then for each id {'CANCELLED', base} (it waited), {'CANCELLING', base} (it runs),
--       {'FOREIGN', base}, {'FINISHED', state}, or a refusal as in lib/whereabouts.lua.
-- uses now day unsound places tell trim bury whereabouts outbox owe

local at = now()
local bases = {}
for i = 4, #KEYS do bases[#bases + 1] = KEYS[i] end
local tell = teller(ARGV[5], at)
local archive = {
  ttl = tonumber(ARGV[2]), cap = tonumber(ARGV[3]), tasks = ARGV[1], trimmed = KEYS[2], tell = tell,
  owe = owing(KEYS[3], ARGV[6], at),
}

local function cancel(id)
  local key = ARGV[1] .. id
  local it = whereabouts(id, key, bases, KEYS[1])
  if it.refusal then return it.refusal end
  if it.finished then return {'FINISHED', it.finished} end
  if it.foreign then return {'FOREIGN', it.foreign} end
  pluck(it, id, KEYS[1])
  if it.running then
    redis.call('HDEL', key, 'cancel')
    redis.call('HSET', key, 'cancel', '1')
    redis.pcall('PUBLISH', ARGV[4], 'cancel ' .. id)
    tell(it.running, id, 'cancelling', 'active')
    return {'CANCELLING', it.running}
  end
  bury(it.base, id, key, 'cancelled', archive, at)
  return {'CANCELLED', it.base}
end

local answers = {stamp(at)}
for i = 7, #ARGV do answers[#answers + 1] = cancel(ARGV[i]) end
return answers
