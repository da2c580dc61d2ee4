-- Removes tasks that nobody runs: their hashes, their places, what they left. Removes only.
--
-- KEYS  1 waiting room (zset)  2.. queue bases
-- ARGV  1 task prefix  2 result prefix  3 log prefix  4 said prefix
--       5 news, as in lib/tell.lua  6.. ids
-- Gives the time, then for each id {'DELETED', base or '', its state}, {'RUNNING', base},
--       {'FOREIGN', base}, {'GONE'} or {'WRONGTYPE', key, type, wanted}.
-- uses now unsound places tell whereabouts

local at = now()
local tell = teller(ARGV[5], at)
local bases = {}
for i = 2, #KEYS do bases[#bases + 1] = KEYS[i] end

local function delete(id)
  local key = ARGV[1] .. id
  local it = whereabouts(id, key, bases, KEYS[1])
  if it.refusal and it.refusal[1] ~= 'NOWHERE' then return it.refusal end
  if it.running then return {'RUNNING', it.running} end
  if it.foreign then return {'FOREIGN', it.foreign} end
  pluck(it, id, KEYS[1])
  redis.call('DEL', key, ARGV[2] .. id, ARGV[3] .. id, ARGV[4] .. id)
  local base = it.base or (it.found[1] or {''})[1]
  if base ~= '' then tell(base, id, 'deleted') end
  return {'DELETED', base, it.finished or it.held[2] or 'pending'}
end

local answers = {stamp(at)}
for i = 6, #ARGV do answers[#answers + 1] = delete(ARGV[i]) end
return answers
