-- Deletes tasks of one queue and state, at most `most` of them: call it until it gives none. Removes
-- only.
--
-- A task that stands elsewhere too (its id was listed twice) keeps its hash; no other does.
--
-- KEYS  1 queue base  2 waiting room (zset)  3.. bases of all queues
-- ARGV  1 task prefix  2 result prefix  3 log prefix  4 said prefix  5 state, other than active
--       6 most  7 news, as in lib/tell.lua
-- Gives {'OK', the time, ids...}, or {'WRONGTYPE', key, type, wanted}.
-- uses now unsound places tell

local base, state = KEYS[1], ARGV[5]
local flaw = unsound(base)
if flaw then return {'WRONGTYPE', flaw[1], flaw[2], flaw[3]} end

local ids = {}
if state == 'pending' then
  ids = redis.call('RPOP', base .. state, ARGV[6]) or {}
else
  local popped = redis.call('ZPOPMIN', base .. state, ARGV[6])
  for i = 1, #popped, 2 do ids[#ids + 1] = popped[i] end
end

local bases = {}
for i = 3, #KEYS do bases[#bases + 1] = KEYS[i] end

-- stands_elsewhere(id): whether another place holds it, unfinished or as the record of another run.
-- Only for a hash that says otherwise than its place are the lists of all queues walked along.
local function stands_elsewhere(id)
  for _, name in ipairs({'lease', 'retry', 'scheduled'}) do
    if redis.call('ZSCORE', base .. name, id) then return true end
  end
  local held = redis.pcall('HMGET', ARGV[1] .. id, 'claim', 'state')
  if not held[1] and (held[2] or state) == state then return false end
  local claimed_in = string.match(held[1] or '', '^([^|]*)|')
  local found = places(id, bases, KEYS[2])
  if stands(found) or stands(places(id, {claimed_in}, KEYS[2])) then return true end
  local is_record = state == 'completed' or state == 'archived'
  for _, place in ipairs(found) do
    if is_record and place[2] == held[2] then return true end
  end
end

local at = now()
local tell = teller(ARGV[7], at)
for _, id in ipairs(ids) do
  if not stands_elsewhere(id) then
    redis.call('ZREM', base .. 'completed', id)
    redis.call('ZREM', base .. 'archived', id)
    redis.call('DEL', ARGV[1] .. id, ARGV[2] .. id, ARGV[3] .. id, ARGV[4] .. id)
    tell(base, id, 'deleted')
  end
end
return {'OK', stamp(at), unpack(ids)}
