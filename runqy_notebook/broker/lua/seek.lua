-- Looks through a part of the ids of one queue and state for a text that stands in the id, or in the
-- type of its task, in upper or lower case. Reads only.
--
-- KEYS  1 list or zset of ids
-- ARGV  1 task prefix  2 'list' or 'zset'  3 1: the right end, or the highest score, comes first
--       4 how many ids to pass over  5 how many to look at  6 text in lower case
--       7 hits after which to stop
-- Gives {how many ids were looked at, number of ids before it, id, score or '', ...}.

local first, last = tonumber(ARGV[4]), tonumber(ARGV[4]) + tonumber(ARGV[5]) - 1
local step, ids = 1, {}
if ARGV[2] == 'zset' then
  local command = ARGV[3] == '1' and 'ZREVRANGE' or 'ZRANGE'
  step, ids = 2, redis.call(command, KEYS[1], first, last, 'WITHSCORES')
elseif ARGV[3] == '1' then
  local turned = redis.call('LRANGE', KEYS[1], -last - 1, -first - 1)
  for i = #turned, 1, -1 do ids[#ids + 1] = turned[i] end
else
  ids = redis.call('LRANGE', KEYS[1], first, last)
end

-- holds(text): whether what is sought stands in it.
local function holds(text)
  return type(text) == 'string' and string.find(string.lower(text), ARGV[6], 1, true) ~= nil
end

local found, looked_at = {0}, 0
for i = 1, #ids, step do
  looked_at = looked_at + 1
  if holds(ids[i]) or holds(redis.pcall('HGET', ARGV[1] .. ids[i], 'type')) then
    found[#found + 1] = first + looked_at - 1
    found[#found + 1] = ids[i]
    found[#found + 1] = step == 2 and ids[i + 1] or ''
    if (#found - 1) / 3 == tonumber(ARGV[7]) then break end
  end
end
found[1] = looked_at
return found
