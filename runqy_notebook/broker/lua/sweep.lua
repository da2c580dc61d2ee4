-- One housekeeping round over some queues, at most every 0.4 s each whoever asks.
--
--   due retries and scheduled tasks  become pending
--   expired leases                   become suspects, and are taken away on a later look (a server
--                                    or worker that was only frozen gets to renew in between): back
--                                    to the front. Nobody saw why they were lost, so none is blamed
--   the waiting room                 late hashes and freed ids return to pending; an id without a
--                                    hash is archived on its third look
--   finished tasks past their time   leave their sorted set
--
-- The first write is always a removal: with memory full the server refuses a script that begins with
-- a ZADD. A suspect is `base|expiry|id`: a lease that was renewed in between is another one.
--
-- Where one of the first three keys has a wrong type, only what needs it is left out; without the last
-- sweeps each call is a round.
--
-- KEYS  1 last sweeps (zset queue base -> time)  2 waiting room (zset)  3 suspects (zset)
--       4 trimmed (hash)  5 outbox  6.. queue bases
-- ARGV  1 task prefix  2 archived ttl  3 archived cap  4 crash limit  5 second look after seconds
--       6 news, as in lib/tell.lua  7 terms of deliveries, as in lib/owe.lua
-- Gives {1 when there is more to do at once, {event, id, base}...} with event
--       suspect/redelivered/crashed/cancelled/orphan.
-- uses now day count unsound tell trim bury lose leased outbox owe

local at = now()
local tasks = ARGV[1]
local tell = teller(ARGV[6], at)
local archive = {
  ttl = tonumber(ARGV[2]), cap = tonumber(ARGV[3]), tasks = tasks, trimmed = KEYS[4], tell = tell,
  owe = owing(KEYS[5], ARGV[7], at),
}
local call = {tasks = tasks, archive = archive, limit = tonumber(ARGV[4]), at = at}
local events, more = {}, 0

local function is_sorted_set(key)
  local kind = redis.call('TYPE', key).ok
  return kind == 'zset' or kind == 'none'
end
local has_last, has_waiting, has_suspects =
  is_sorted_set(KEYS[1]), is_sorted_set(KEYS[2]), is_sorted_set(KEYS[3])

local function report(event, id, base)
  events[#events + 1] = {event, id, base}
end

local function bring_due(base, name)
  local due = redis.call('ZRANGEBYSCORE', base .. name, '-inf', at, 'LIMIT', 0, 100)
  if #due == 100 then more = 1 end
  for _, id in ipairs(due) do
    redis.call('ZREM', base .. name, id)
    redis.call('LPUSH', base .. 'pending', id)
    -- Whatever else the hash says, if there is one, is for the claim to judge.
    if redis.pcall('HGET', tasks .. id, 'state') == name then
      redis.call('HSET', tasks .. id, 'state', 'pending')
    end
    tell(base, id, 'due', 'pending')
  end
end

local function look_at_leases(base)
  local passed, changed = 0, 0
  repeat
    local expired = redis.call('ZRANGEBYSCORE', base .. 'lease', '-inf', at, 'WITHSCORES',
      'LIMIT', passed, 500)
    for i = 1, #expired, 2 do
      local id = expired[i]
      local suspect = base .. '|' .. expired[i + 1] .. '|' .. id
      local since = redis.call('ZSCORE', KEYS[3], suspect)
      if since and at - tonumber(since) >= tonumber(ARGV[5]) then
        redis.call('ZREM', KEYS[3], suspect)
        local fate = lose(base, id, 1, call)
        if fate then report(fate, id, base) end
        changed = changed + 1
      else
        if not since then
          redis.call('ZADD', KEYS[3], at, suspect)
          report('suspect', id, base)
          changed = changed + 1
        end
        passed = passed + 1
      end
    end
  until #expired < 1000 or changed >= 500
  if changed >= 500 then more = 1 end
end

local function acquit()
  for _, suspect in ipairs(redis.call('ZRANGE', KEYS[3], 0, 199)) do
    local base, expiry, id = string.match(suspect, '^([^|]*)|([^|]*)|(.*)$')
    if not base or redis.pcall('ZSCORE', base .. 'lease', id) ~= expiry then
      redis.call('ZREM', KEYS[3], suspect)
    end
  end
end

local function look_at(base, looks, id)
  local key = tasks .. id
  local kind = redis.call('TYPE', key).ok
  if kind == 'hash' then
    if is_leased(redis.call('HGET', key, 'claim'), id, at) then
      redis.call('ZADD', KEYS[2], at + 1, base .. '|0|' .. id)
    else
      redis.call('RPUSH', base .. 'pending', id)
    end
  elseif kind ~= 'none' then
    redis.call('ZADD', base .. 'archived', at, id)
  elseif looks < 3 then
    redis.call('ZADD', KEYS[2], at + 1, base .. '|' .. string.format('%.0f', looks + 1) .. '|' .. id)
  else
    bury(base, id, key, 'no task hash: ' .. key .. ' did not exist when the id was taken', archive, at)
    report('orphan', id, base)
  end
end

local function look_at_waiting()
  local looked = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at, 'LIMIT', 0, 200)
  if #looked == 200 then more = 1 end
  for _, member in ipairs(looked) do
    local base, looks, id = string.match(member, '^([^|]*)|(%d+)|(.*)$')
    redis.call('ZREM', KEYS[2], member)
    if base and unsound(base) then
      redis.call('ZADD', KEYS[2], at + 1, member)
    elseif base then
      look_at(base, tonumber(looks), id)
    end
  end
end

for i = 6, #KEYS do
  local base = KEYS[i]
  local last = has_last and redis.call('ZSCORE', KEYS[1], base)
  if (not last or at - tonumber(last) >= 0.4 or at < tonumber(last)) and not unsound(base) then
    redis.call('ZREMRANGEBYSCORE', base .. 'completed', '-inf', at)
    if has_last then redis.call('ZADD', KEYS[1], at, base) end
    bring_due(base, 'retry')
    bring_due(base, 'scheduled')
    if has_suspects then look_at_leases(base) end
    redis.call('ZREMRANGEBYSCORE', base .. 'archived', '-inf', at - archive.ttl)
    if more == 1 and has_last then redis.call('ZREM', KEYS[1], base) end
  end
end
if has_suspects then acquit() end
if has_waiting then look_at_waiting() end
counted(at)
return {more, events}
