-- Takes the tasks from a worker that died, at once: what its guardian asks for. These are the ones
-- that it names, and whatever else the worker's slots claimed last and did not write down.
--
-- KEYS  1 trimmed (hash)  2 killers (zset base|id -> time)  3 outbox
--       4.. the slots' last replies, queue bases
-- ARGV  1 task prefix  2 archived ttl  3 archived cap  4 crash limit  5 news, as in lib/tell.lua
--       6 terms of deliveries, as in lib/owe.lua  7 number of replies
--       8.. four for each task: base number, id, token, blame (as in lib/lose.lua)
-- Gives for each task 'redelivered', 'crashed', 'cancelled', or 'LOST' where the token is not the
--       task's any more.
-- uses now day count unsound tell trim bury lose outbox owe

-- claimed_last(key): {base, id, token} of each task that the slot's reply tells of; of a text that is
-- no reply none. Asked before the first write, since anybody may have put it there.
local function claimed_last(key)
  local rows = {}
  local is_reply = pcall(function()
    for _, row in ipairs(cjson.decode(string.match(redis.pcall('GET', key), '\n(.*)$')).taken) do
      rows[#rows + 1] = {row[1] .. '', row[2] .. '', row[3] .. ''}
    end
  end)
  return is_reply and rows or {}
end

local at = now()
local call = {
  tasks = ARGV[1], killers = KEYS[2], limit = tonumber(ARGV[4]), at = at,
  archive = {
    ttl = tonumber(ARGV[2]), cap = tonumber(ARGV[3]), tasks = ARGV[1], trimmed = KEYS[1],
    tell = teller(ARGV[5], at), owe = owing(KEYS[3], ARGV[6], at),
  },
}
local answers, claimed = {}, {}
local replies = tonumber(ARGV[7])
for i = 1, replies do claimed[i] = claimed_last(KEYS[3 + i]) end
for i = 8, #ARGV, 4 do
  local base, id = KEYS[3 + replies + tonumber(ARGV[i])], ARGV[i + 1]
  local held = redis.pcall('HGET', ARGV[1] .. id, 'claim')
  if held == ARGV[i + 2] and not unsound(base) then
    answers[#answers + 1] = lose(base, id, tonumber(ARGV[i + 3]), call) or 'LOST'
  else
    answers[#answers + 1] = 'LOST'
  end
end

for _, taken in ipairs(claimed) do
  for n = #taken, 1, -1 do  -- the last one first, so that the first is in front again
    local base, id, token = unpack(taken[n])
    if redis.pcall('HGET', ARGV[1] .. id, 'claim') == token and not unsound(base) then
      lose(base, id, 0, call)
    end
  end
end
counted(at)
return answers
