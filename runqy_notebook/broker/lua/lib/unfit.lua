-- unfit(base, queues): the answer where a key of the queue, or the set of known queues, is none of ours:
-- {'WRONGTYPE', key, type it has, type it should have}; nil when all fit.
local function unfit(base, queues)
  local wrong = unsound(base)
  if wrong then return {'WRONGTYPE', unpack(wrong)} end
  local kind = redis.call('TYPE', queues).ok
  if kind ~= 'set' and kind ~= 'none' then return {'WRONGTYPE', queues, kind, 'set'} end
end
