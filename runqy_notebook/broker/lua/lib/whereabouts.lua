-- whereabouts(id, key, bases, waiting): what is to be known of a task before somebody moves it:
--   found      its places, as in places.lua
--   running    the base under whose lease one of our workers has it, by its claim
--   foreign    the base in whose active list it stands without lease or claim: a foreign worker's
--   base       the base of its first place as an unfinished task
--   kind       the type of its key; none: there is none
--   held       {claim, state, payload} of its hash
--   refusal    where it can be moved nowhere: {'WRONGTYPE', key, type, wanted}, {'GONE'}, or
--              {'NOWHERE', state} for an unfinished task that stands nowhere
--   finished   its state, where it is finished
local function whereabouts(id, key, bases, waiting)
  local kind = redis.call('TYPE', key).ok
  local it = {found = places(id, bases, waiting), kind = kind}
  it.held = kind == 'hash' and redis.call('HMGET', key, 'claim', 'state', 'payload') or {}
  local claimed_in = string.match(it.held[1] or '', '^([^|]*)|')

  local leased = {}
  for _, place in ipairs(it.found) do
    local flaw = unsound(place[1])
    if flaw then it.refusal = {'WRONGTYPE', flaw[1], flaw[2], flaw[3]} end
    if place[2] == 'lease' then leased[place[1]] = true end
  end
  for _, place in ipairs(it.found) do
    local base, name = place[1], place[2]
    if name == 'archived' or name == 'completed' then
      it.finished = it.finished or name
    else
      it.base = it.base or base
      if leased[base] and claimed_in == base then it.running = base end
      if name == 'active' and not leased[base] and claimed_in ~= base then it.foreign = base end
    end
  end

  if it.base then
    it.finished = nil
  elseif kind ~= 'hash' and kind ~= 'none' then
    it.refusal = it.refusal or {'WRONGTYPE', key, kind, 'hash'}
  elseif not it.finished then
    local state = it.held[2] or 'pending'
    local is_past = state == 'completed' or state == 'archived'
    if kind == 'none' then
      it.refusal = {'GONE'}
    elseif is_past then
      it.finished = state
    else
      it.refusal = {'NOWHERE', state}
    end
  end
  return it
end

-- pluck(it, id, waiting): takes a task out of all its places, but for those where it runs.
local function pluck(it, id, waiting)
  for _, place in ipairs(it.found) do
    local base, name = place[1], place[2]
    if name == 'waiting' then
      for looks = 0, 3 do redis.call('ZREM', waiting, base .. '|' .. looks .. '|' .. id) end
    elseif base ~= it.running or (name ~= 'active' and name ~= 'lease') then
      if name == 'pending' or name == 'active' then
        redis.call('LREM', base .. name, 0, id)
      else
        redis.call('ZREM', base .. name, id)
      end
    end
  end
end
