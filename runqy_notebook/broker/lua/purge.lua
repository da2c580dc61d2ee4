-- Deletes tasks of one queue and state, at most `most` of them: call it until it gives none. Removes
-- only.
--
-- A task that is under way all the same (its id was listed twice) keeps its hash.
--
-- KEYS  1 queue base
-- ARGV  1 task prefix  2 result prefix  3 log prefix  4 said prefix  5 state, other than active
--       6 most  7 news, as in lib/tell.lua
-- Gives {'OK', the time, ids...}, or {'WRONGTYPE', key, type, wanted}.
-- uses now unsound tell

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

-- is_listed(id): whether it stands somewhere as another task of that id.
local function is_listed(id)
  for _, name in ipairs({'lease', 'retry', 'scheduled'}) do
    if redis.call('ZSCORE', base .. name, id) then return true end
  end
  local held = redis.pcall('HGET', ARGV[1] .. id, 'state')
  if not held or held == state then return false end
  return state == 'completed' or state == 'archived' or held == 'retry' or held == 'scheduled'
end

local at = now()
local tell = teller(ARGV[7], at)
for _, id in ipairs(ids) do
  if not redis.pcall('HGET', ARGV[1] .. id, 'claim') and not is_listed(id) then
    redis.call('ZREM', base .. 'completed', id)
    redis.call('ZREM', base .. 'archived', id)
    redis.call('DEL', ARGV[1] .. id, ARGV[2] .. id, ARGV[3] .. id, ARGV[4] .. id)
    tell(base, id, 'deleted')
  end
end
return {'OK', stamp(at), unpack(ids)}
