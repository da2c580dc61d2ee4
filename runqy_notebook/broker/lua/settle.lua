-- Writes down what became of the tasks a slot held, then claims its next ones, in one call.
--
-- Fenced: an outcome counts only with the token of its claim and a lease that was not taken away.
-- Safe to ask again after a lost reply: the reply is remembered under the slot's key and given
-- again for the same nonce; a request that arrives after later ones does nothing.
--
-- KEYS  1 the slot's last reply  2 waiting room (zset)  3 trimmed (hash)  4 outbox
--       5.. queue bases
-- ARGV  1 task prefix  2 result prefix  3 nonce  4 again (0/1)  5 tasks wanted  6 lease seconds
--       7 bases to claim from, the first n  8 completed ttl  9 completed cap  10 archived ttl
--       11 archived cap  12 news, as in lib/tell.lua  13 terms of deliveries, as in lib/owe.lua
--       14.. nine for each outcome:
--       base number, id, token, verb (complete/retry/archive/release/crash), text, number, delay,
--       what is told (see lib/outcomes.lua), what is delivered ('' or as in lib/outbox.lua)
-- Gives {answers, rows, unsound, the time}: answers OK, CANCELLED (archived as such, whatever the
--       outcome was), FENCED, GONE, or UNSOUND where a key of the queue has the wrong type; rows as
--       in lib/rows.lua; unsound as in lib/unsound.lua, of each such queue.
-- uses now day count unsound tell trim leased rows claim complete
-- seldom uses bury lose outcomes outbox owe; wants outcomes dispatch owing

local at = now()
local time = stamp(at)
local tasks, nonce = ARGV[1], ARGV[3]

-- turn(nonce): the number of a slot's exchange; each one's is higher than the last one's.
local function turn(text)
  return tonumber(string.match(text, ':(%d+)$'))
end

local saved = redis.pcall('GET', KEYS[1])
local last, rest = string.match(type(saved) == 'string' and saved or '', '^([^\n]*)\n()')
if last == nonce then
  local reply = cjson.decode(string.sub(saved, rest))
  return {reply.answers, rows(reply.taken, tasks), {}, time}
elseif last and turn(last) and turn(nonce) and turn(last) > turn(nonce) then
  -- It was given up and repeated before it arrived: whoever sent it waits no more.
  return {{}, {}, {}, time}
end

local tell, _, is_heard = teller(ARGV[12], at)

-- write_down(): what became of each task; gives a word for each. What only this needs is made in
-- here, as a claim that comes alone is to be quick.
local function write_down()
  local complete, done = completing({ttl = tonumber(ARGV[8]), results = ARGV[2], tell = tell}, at)

  -- end_seldom(base, id, key, verb, i): what becomes of a task that was not completed; whether that
  -- was its end. i: where its nine arguments begin.
  local function end_seldom(base, id, key, verb, i)
    local archive = {
      ttl = tonumber(ARGV[10]), cap = tonumber(ARGV[11]), tasks = tasks, trimmed = KEYS[3],
      tell = tell,
    }
    if verb == 'cancel' or ARGV[i + 8] == '' then
      archive.owe = seldom().owing(KEYS[4], ARGV[13], at)
    end
    return seldom().outcomes[verb](base, id, key, {
      text = ARGV[i + 4], number = tonumber(ARGV[i + 5]), delay = tonumber(ARGV[i + 6]),
      told = ARGV[i + 7],
    }, archive, at)
  end

  -- is_fit(base, verb): whether all keys are sound that this verb writes; for the usual verb it is
  -- asked by fewer commands, once a call.
  local completable = {}
  local function is_fit(base, verb)
    if verb ~= 'complete' then return not unsound(base) end
    if completable[base] == nil then
      local is_sound = type(redis.pcall('LLEN', base .. 'active')) == 'number'
      for _, name in ipairs({'lease', 'completed'}) do
        is_sound = is_sound and type(redis.pcall('ZCARD', base .. name)) == 'number'
      end
      completable[base] = is_sound or not unsound(base)
    end
    return completable[base]
  end

  local function write_one(base, i)
    local id, verb = ARGV[i + 1], ARGV[i + 3]
    local key = tasks .. id
    local held = redis.pcall('HMGET', key, 'claim', 'cancel')
    local claimed = held[1]
    if not is_fit(base, held[2] == '1' and 'cancel' or verb) then return 'UNSOUND' end
    if claimed and claimed ~= ARGV[i + 2] then return 'FENCED' end
    local had_lease = redis.call('ZREM', base .. 'lease', id) == 1
    if had_lease then redis.call('LREM', base .. 'active', -1, id) end  -- the oldest are last
    if not claimed or not had_lease then
      -- The task was taken away, or overwritten or deleted by an outsider while it ran.
      return redis.call('TYPE', key).ok == 'hash' and 'FENCED' or 'GONE'
    elseif held[2] == '1' then
      end_seldom(base, id, key, 'cancel', i)
      return 'CANCELLED'
    end
    local has_ended = true
    if verb == 'complete' then
      complete(base, id, key, ARGV[i + 4], ARGV[i + 5], ARGV[i + 7])
    else
      has_ended = end_seldom(base, id, key, verb, i)
    end
    if has_ended and ARGV[i + 8] ~= '' then seldom().dispatch(KEYS[4], ARGV[i + 8], at) end
    return 'OK'
  end

  local answers = {}
  for i = 14, #ARGV, 9 do
    answers[#answers + 1] = write_one(KEYS[4 + ARGV[i]], i)
  end

  for base, more in pairs(done) do
    count(base, 'processed', more)
    trim(base, 'completed', tonumber(ARGV[9]), tasks, KEYS[3])
  end
  counted(at)
  return answers
end

local answers = #ARGV >= 14 and write_down() or {}

local taken, rows_taken = {}, {}
local want = tonumber(ARGV[5])
if want > 0 then
  local call = {
    tasks = tasks, results = ARGV[2], waiting = KEYS[2],
    lease = tonumber(ARGV[6]), nonce = nonce, taken = 0, claimed = {}, at = at,
    worker = string.match(nonce, '^[^/]*'), started_at = time,
  }
  for i = 5, 4 + tonumber(ARGV[7]) do
    local length = #taken < want and redis.pcall('LLEN', KEYS[i] .. 'pending') or 0
    if length ~= 0 then
      for _, row in ipairs(claim(KEYS[i], want - #taken, call)) do
        rows_taken[#rows_taken + 1] = row
        taken[#taken + 1] = {row[1], row[2], row[3]}
      end
    end
  end
end

if #answers > 0 or #taken > 0 or ARGV[4] == '1' then
  if #taken == 0 and answers[1] ~= 'OK' then
    redis.call('DEL', KEYS[1])  -- a script whose first write is a SET is refused while memory is full
  end
  local told = cjson.encode({answers = answers, taken = taken})
  redis.call('SET', KEYS[1], nonce .. '\n' .. told, 'EX', 600)
end

local passed_over = {}
for _, flaw in pairs(seen) do
  if flaw then passed_over[#passed_over + 1] = flaw end
end
for _, row in ipairs(rows_taken) do
  if is_heard(row[1]) then tell(row[1], row[2], 'started', 'active', attempt(row[4])) end
end
return {answers, rows_taken, passed_over, time}
