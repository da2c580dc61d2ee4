-- Picks the tasks worth a closer look out of a page of task keys: what is no hash, and what nobody is
-- known to have listed although it is unfinished. Reads only.
--
-- KEYS  1.. task keys
-- ARGV  1 a character for each key: 1 where its id is known to be listed, else 0
--       2 seconds for which a task that was just enqueued is left alone
-- Gives {number of the key, the queue that its hash names or ''} of each picked one.
-- uses now

local at = now()
local picked = {}
for i = 1, #KEYS do
  local kind = redis.call('TYPE', KEYS[i]).ok
  if kind == 'hash' and string.sub(ARGV[1], i, i) == '0' then
    local held = redis.call('HMGET', KEYS[i], 'state', 'enqueued_at', 'queue')
    local age = at - (tonumber(held[2]) or 0)
    local is_new = age >= 0 and age < tonumber(ARGV[2])
    if not is_new and held[1] ~= 'completed' and held[1] ~= 'archived' then
      picked[#picked + 1] = {i, held[3] or ''}
    end
  elseif kind ~= 'hash' and kind ~= 'none' then
    picked[#picked + 1] = {i, ''}
  end
end
return picked
