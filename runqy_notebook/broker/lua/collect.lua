-- Takes rows of the outbox that are due, under a lease: who attempts them must say what came of it
-- before the lease ends, or somebody else does.
--
-- KEYS  1 outbox
-- ARGV  1 token  2 rows wanted  3 lease seconds  4 most attempts at a time of one destination
--       5 life of finished rows in seconds  6 finished rows kept  7 number of lanes n
--       8.. n lanes, then a destination for each attempt that the asker has under way
-- Gives {seconds until the next row is due as text, or '' for none; {id, token, to, lane, body,
--       task id, queue, attempts made, status, spooled, result url, where that lies}...}.
-- uses now outbox echoes

local at, outbox = now(), KEYS[1]
local want, most = tonumber(ARGV[2]), tonumber(ARGV[4])
local kept = {ttl = tonumber(ARGV[5]), cap = tonumber(ARGV[6])}
if not is_outbox(outbox) then return {''} end
leave_echoes(outbox, kept, at)

local under_way = {}
local function is_busy(to)
  return (under_way[to] or 0) >= most
end
for i = 8 + tonumber(ARGV[7]), #ARGV do
  under_way[ARGV[i]] = (under_way[ARGV[i]] or 0) + 1
end

local taken = {''}
local function take(lane, due, id)
  local key = outbox .. ':row:' .. id
  local held = redis.pcall('HMGET', key, 'to', 'body', 'task_id', 'queue', 'attempts', 'status',
    'spooled', 'result_url', 'result_at')
  redis.call('ZREM', due, id)
  local to = held[1]
  if not to then return end -- it has expired, or is no row
  if redis.call('ZSCORE', outbox .. ':off', to) then
    finish(outbox, id, 'gone', 'the receiver had said that it is gone', kept, at)
  elseif is_busy(to) then
    redis.call('ZADD', due, at + 1, id) -- behind those of others
  else
    local token = ARGV[1] .. ':' .. #taken
    redis.call('ZADD', due, at + tonumber(ARGV[3]), id)
    redis.call('HSET', key, 'claim', token, 'state', 'sending')
    under_way[to] = (under_way[to] or 0) + 1
    taken[#taken + 1] = {
      id, token, to, lane, held[2] or '', held[3] or '', held[4] or '', held[5] or '0',
      held[6] or '', held[7] or '', held[8] or '', held[9] or '',
    }
  end
  redis.call('EXPIRE', due, outbox_life) -- it was made anew if this was its only row
end

local soonest
for i = 8, 7 + tonumber(ARGV[7]) do
  local due = outbox .. ':due:' .. ARGV[i]
  if is_echo(ARGV[i]) then keep_echo(outbox, ARGV[i], at) end
  local ids = redis.pcall('ZRANGEBYSCORE', due, '-inf', at, 'LIMIT', 0, 200)
  for _, id in ipairs(ids) do
    if #taken > want then break end
    take(ARGV[i], due, id)
  end
  local first = redis.pcall('ZRANGE', due, 0, 0, 'WITHSCORES')
  if first[2] then soonest = math.min(soonest or math.huge, tonumber(first[2])) end
end
if soonest then taken[1] = string.format('%.3f', math.max(0, soonest - at)) end
return taken
