-- count(base, name, more): so many more, or one, on the counter `name` of a queue and on that of the UTC day, which lives
-- 90 days; written by counted(at), at the end of a script that counts. A stranger's wrong-typed
-- counter costs the count, never the task (hence pcall).
local counts = {}

local function count(base, name, more)
  counts[base .. name] = (counts[base .. name] or 0) + (more or 1)
end

local function counted(at)
  if not next(counts) then return end
  local today = ':' .. civil_day(at)
  for counter, more in pairs(counts) do
    redis.pcall('INCRBY', counter, more)
    if redis.pcall('INCRBY', counter .. today, more) == more then
      redis.call('EXPIRE', counter .. today, 7776000)
    end
  end
end
