-- Writes down what became of the tasks a slot held, then claims its next ones, in one call.
--
-- Fenced: an outcome counts only with the token of its claim and a lease that was not taken away.
-- Safe to ask again after a lost reply: the reply is remembered under the slot's key and given
-- again for the same nonce when `again` is 1.
--
-- KEYS  1 the slot's last reply  2 waiting room (zset)  3 trimmed (hash)  4.. queue bases
-- ARGV  1 task prefix  2 result prefix  3 nonce  4 again (0/1)  5 tasks wanted  6 lease seconds
--       7 bases to claim from, the first n  8 completed ttl  9 completed cap  10 archived ttl
--       11 archived cap  12.. seven for each outcome:
--       base number, id, token, verb (complete/retry/archive/release), text, number, delay
-- Gives {answers, rows, unsound}: answers OK/FENCED/GONE; rows as in lib/rows.lua; unsound
--       {key, type it has, type it should have} of queues that were passed over.
-- uses now count unsound bury claim outcomes rows

local at = now()
local tasks, nonce = ARGV[1], ARGV[3]

if ARGV[4] == '1' then
  local saved = redis.call('GET', KEYS[1])
  saved = saved and cjson.decode(saved)
  if saved and saved.nonce == nonce then
    return {saved.answers, rows(saved.taken, tasks), {}}
  end
end

local keep = {
  completed_ttl = tonumber(ARGV[8]), completed_cap = tonumber(ARGV[9]),
  tasks = tasks, results = ARGV[2], trimmed = KEYS[3],
  archive = {ttl = tonumber(ARGV[10]), cap = tonumber(ARGV[11]), tasks = tasks, trimmed = KEYS[3]},
}

local answers = {}
for i = 12, #ARGV, 7 do
  local base, id, token = KEYS[3 + tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2]
  local key = tasks .. id
  local held = redis.pcall('HGET', key, 'claim')
  if held == token and redis.call('ZREM', base .. 'lease', id) == 1 then
    redis.call('LREM', base .. 'active', 1, id)
    outcomes[ARGV[i + 3]](base, id, key, {
      text = ARGV[i + 4], number = tonumber(ARGV[i + 5]), delay = tonumber(ARGV[i + 6]),
    }, keep, at)
    answers[#answers + 1] = 'OK'
  elseif type(held) == 'table' or redis.call('EXISTS', key) == 0 then
    -- Deleted or overwritten by an outsider while it ran: nothing is left to write down.
    redis.call('ZREM', base .. 'lease', id)
    redis.call('LREM', base .. 'active', 1, id)
    answers[#answers + 1] = 'GONE'
  else
    answers[#answers + 1] = 'FENCED'
  end
end

local taken, wrong = {}, {}
local want = tonumber(ARGV[5])
local call = {
  tasks = tasks, results = ARGV[2], waiting = KEYS[2],
  lease = tonumber(ARGV[6]), nonce = nonce, taken = 0, at = at,
}
for i = 4, 3 + tonumber(ARGV[7]) do
  if #taken >= want then break end
  local length = redis.pcall('LLEN', KEYS[i] .. 'pending')
  if type(length) == 'table' or length > 0 then
    local key, kind, wanted = unsound(KEYS[i])
    if key then
      wrong[#wrong + 1] = {key, kind, wanted}
    else
      for _, row in ipairs(claim(KEYS[i], want - #taken, call)) do
        taken[#taken + 1] = row
      end
    end
  end
end

if #answers > 0 or #taken > 0 then
  redis.call('SET', KEYS[1], cjson.encode({nonce = nonce, answers = answers, taken = taken}), 'EX', 60)
end
return {answers, rows(taken, tasks), wrong}
