-- unsound(base): the first key of the queue whose type is not ours, with its type; nothing when all
-- fit. Asked before the first write: a script that fails half-way would leave an id in no list.
local function unsound(base)
  local kinds = {
    pending = 'list', active = 'list', lease = 'zset', retry = 'zset',
    scheduled = 'zset', archived = 'zset', completed = 'zset',
  }
  for name, wanted in pairs(kinds) do
    local kind = redis.call('TYPE', base .. name).ok
    if kind ~= wanted and kind ~= 'none' then
      return base .. name, kind, wanted
    end
  end
end
