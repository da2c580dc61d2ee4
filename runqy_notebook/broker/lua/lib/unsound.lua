-- unsound(base): {key, type it has, type it should have} of a key of the queue that somebody else
-- put there; false when all fit. Asked before the first write: a script that fails half-way would
-- leave an id in no list. Looks once a call at each queue.
local seen = {}

local function unsound(base)
  if seen[base] ~= nil then return seen[base] end
  local kinds = {
    pending = 'list', active = 'list', lease = 'zset', retry = 'zset',
    scheduled = 'zset', archived = 'zset', completed = 'zset',
  }
  seen[base] = false
  for name, wanted in pairs(kinds) do
    local kind = redis.call('TYPE', base .. name).ok
    if kind ~= wanted and kind ~= 'none' then
      seen[base] = {base .. name, kind, wanted}
    end
  end
  return seen[base]
end
