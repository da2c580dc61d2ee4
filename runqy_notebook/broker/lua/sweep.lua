-- One housekeeping round over some queues, at most once a second each whoever asks.
--
--   due retries and scheduled tasks  become pending
--   expired leases                   become suspects, and are taken away on a later look (a server
--                                    or worker that was only frozen gets to renew in between): back
--                                    to the front, or archived after `crash limit` such losses
--   the waiting room                 late hashes and freed ids return to pending; an id without a
--                                    hash is archived on its third look
--   finished tasks past their time   leave their sorted set
--
-- KEYS  1 last sweeps (zset queue base -> time)  2 waiting room (zset)  3 suspects (zset)
--       4 trimmed (hash)  5.. queue bases
-- ARGV  1 task prefix  2 archived ttl  3 archived cap  4 crash limit  5 second look after seconds
-- Gives {1 when there is more to do at once, {event, id, base}...} with event
--       suspect/redelivered/crashed/orphan.
-- uses now unsound bury claim

local at = now()
local tasks = ARGV[1]
local archive = {ttl = tonumber(ARGV[2]), cap = tonumber(ARGV[3]), tasks = tasks, trimmed = KEYS[4]}
local events, more = {}, 0

local function report(event, id, base)
  events[#events + 1] = {event, id, base}
end

local function ready(base, id, front)
  local key = tasks .. id
  redis.call(front and 'RPUSH' or 'LPUSH', base .. 'pending', id)
  redis.call('HSET', key, 'state', 'pending')
  redis.call('HDEL', key, 'claim')
end

local function bring_due(base, name)
  local due = redis.call('ZRANGEBYSCORE', base .. name, '-inf', at, 'LIMIT', 0, 100)
  if #due == 100 then more = 1 end
  for _, id in ipairs(due) do
    redis.call('ZREM', base .. name, id)
    local held = redis.pcall('HMGET', tasks .. id, 'claim', 'state')
    if held.err or not held[2] then
      redis.call('ZADD', KEYS[2], at, base .. '|1|' .. id)
    elseif held[2] == name and not is_leased(held[1], id, at) then
      ready(base, id, false)
    end
  end
end

local function take_away(base, id)
  local key = tasks .. id
  local held = redis.pcall('HMGET', key, 'claim', 'crashes')
  redis.call('ZREM', base .. 'lease', id)
  redis.call('LREM', base .. 'active', 1, id)
  if held.err then
    redis.call('ZADD', base .. 'archived', at, id)
  elseif held[1] and string.sub(held[1], 1, #base + 1) == base .. '|' then
    local crashes = (tonumber(held[2]) or 0) + 1
    redis.call('HSET', key, 'crashes', string.format('%.0f', crashes))
    if crashes >= tonumber(ARGV[4]) then
      count(base, 'processed', at)
      count(base, 'failed', at)
      bury(base, id, key, 'killed its worker ' .. string.format('%.0f', crashes) .. ' times', archive, at)
      report('crashed', id, base)
    else
      ready(base, id, true)
      report('redelivered', id, base)
    end
  end
end

local function look_at_leases(base)
  local expired = redis.call('ZRANGEBYSCORE', base .. 'lease', '-inf', at, 'LIMIT', 0, 500)
  for _, id in ipairs(expired) do
    local suspect = base .. '|' .. id
    local since = redis.call('ZSCORE', KEYS[3], suspect)
    if not since then
      redis.call('ZADD', KEYS[3], at, suspect)
      report('suspect', id, base)
    elseif at - tonumber(since) >= tonumber(ARGV[5]) then
      redis.call('ZREM', KEYS[3], suspect)
      take_away(base, id)
    end
  end
end

local function acquit()
  for _, suspect in ipairs(redis.call('ZRANGE', KEYS[3], 0, 199)) do
    local base, id = string.match(suspect, '^([^|]*)|(.*)$')
    local expires = redis.call('ZSCORE', base .. 'lease', id)
    if not expires or tonumber(expires) > at then redis.call('ZREM', KEYS[3], suspect) end
  end
end

local function look_at_waiting()
  local looked = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', at, 'LIMIT', 0, 200)
  if #looked == 200 then more = 1 end
  for _, member in ipairs(looked) do
    local base, looks, id = string.match(member, '^([^|]*)|(%d+)|(.*)$')
    looks = tonumber(looks)
    local key = tasks .. id
    local kind = redis.call('TYPE', key).ok
    local claim = kind == 'hash' and redis.call('HGET', key, 'claim')
    redis.call('ZREM', KEYS[2], member)
    if kind == 'hash' and not is_leased(claim, id, at) then
      redis.call('RPUSH', base .. 'pending', id)
    elseif kind == 'none' and looks >= 3 then
      bury(base, id, key, 'no task hash: ' .. key .. ' did not exist when the id was taken', archive, at)
      report('orphan', id, base)
    elseif kind == 'hash' then
      redis.call('ZADD', KEYS[2], at + 1, base .. '|0|' .. id)
    elseif kind == 'none' then
      redis.call('ZADD', KEYS[2], at + 1, base .. '|' .. string.format('%.0f', looks + 1) .. '|' .. id)
    else
      redis.call('ZADD', base .. 'archived', at, id)
    end
  end
end

for i = 5, #KEYS do
  local base = KEYS[i]
  local last = redis.call('ZSCORE', KEYS[1], base)
  if (not last or at - tonumber(last) >= 0.9 or at < tonumber(last)) and not unsound(base) then
    redis.call('ZADD', KEYS[1], at, base)
    bring_due(base, 'retry')
    bring_due(base, 'scheduled')
    look_at_leases(base)
    redis.call('ZREMRANGEBYSCORE', base .. 'completed', '-inf', at)
    redis.call('ZREMRANGEBYSCORE', base .. 'archived', '-inf', at - archive.ttl)
    if more == 1 then redis.call('ZREM', KEYS[1], base) end
  end
end
acquit()
look_at_waiting()
return {more, events}
