-- trim(base, state, cap, tasks, trimmed): keeps the newest `cap` finished tasks of a queue, at most
-- 200 removals a call; what goes is counted in the hash `trimmed`, by queue base.
local function trim(base, state, cap, tasks, trimmed)
  local extra = math.min(redis.call('ZCARD', base .. state) - cap, 200)
  if extra <= 0 then return end
  local popped = redis.call('ZPOPMIN', base .. state, extra)
  for i = 1, #popped, 2 do
    local held = redis.pcall('HMGET', tasks .. popped[i], 'state', 'claim')
    if held[1] == state and not held[2] then
      redis.call('DEL', tasks .. popped[i])
    end
  end
  redis.pcall('HINCRBY', trimmed, base, extra)
end
