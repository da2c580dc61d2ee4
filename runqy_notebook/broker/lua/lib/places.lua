-- places(id, bases, waiting): where an id stands, each as {base, name, number}: the name of the key
-- behind its base, or `waiting`; how often a list holds it (2 at most), or its score. A key of a
-- wrong type holds nothing.
local function places(id, bases, waiting)
  local found = {}
  for _, base in ipairs(bases) do
    for _, name in ipairs({'pending', 'active'}) do
      local at = redis.pcall('LPOS', base .. name, id, 'COUNT', 2)
      if at[1] then found[#found + 1] = {base, name, tostring(#at)} end
    end
    for _, name in ipairs({'lease', 'retry', 'scheduled', 'archived', 'completed'}) do
      local score = redis.pcall('ZSCORE', base .. name, id)
      if type(score) == 'string' then found[#found + 1] = {base, name, score} end
    end
    for looks = 0, 3 do
      local score = redis.pcall('ZSCORE', waiting, base .. '|' .. looks .. '|' .. id)
      if type(score) == 'string' then found[#found + 1] = {base, 'waiting', score} end
    end
  end
  return found
end

-- stands(found, base, name): whether a place of an unfinished task is among these, other than that
-- one of that queue.
local function stands(found, base, name)
  for _, place in ipairs(found) do
    local is_that = place[1] == base and place[2] == name
    if not is_that and place[2] ~= 'archived' and place[2] ~= 'completed' then return true end
  end
end
