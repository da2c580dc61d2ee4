-- teller(news, at): gives tell(base, id, event, state, more, result), which publishes what happened
-- to a task where anybody but the caller listens; the caller tells itself, without a detour.
--
-- `news` is five lines: the channels' prefix, what a base begins with before the queue's name, who
-- makes it happen, how many patterns the caller listens to (unique ones, as NUMPAT counts each text
-- once), and the queues that it listens to one by one, with a comma before and after each.
-- `more` are further fields, `result` is JSON. Its second value pass_on(queue, texts) publishes
-- events that are JSON already; the third, is_heard(base), says whether anybody would hear them.
local function teller(news, at)
  local prefix, root, by, patterns, own =
    string.match(news, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n(%d+)\n(.*)$')
  local heard = {}

  local function is_heard(base)
    if heard[base] == nil then
      local queue = string.sub(base, #root + 1, -2)
      local exactly = redis.pcall('PUBSUB', 'NUMSUB', prefix .. queue)
      local others = exactly[2] and exactly[2] + redis.call('PUBSUB', 'NUMPAT') - patterns
      if others and string.find(own, ',' .. queue .. ',', 1, true) then others = others - 1 end
      heard[base] = not others or others > 0  -- who may not count is heard by somebody, perhaps
    end
    return heard[base]
  end

  local function tell(base, id, event, state, more, result)
    if not is_heard(base) then return end
    local queue = string.sub(base, #root + 1, -2)
    local told = {event = event, id = id, queue = queue, state = state, by = by, at = tonumber(stamp(at))}
    for name, value in pairs(more or {}) do told[name] = value end
    local text = cjson.encode(told)
    if result then text = string.sub(text, 1, -2) .. ',"result":' .. result .. '}' end
    redis.pcall('PUBLISH', prefix .. queue, text)
  end

  local function pass_on(queue, texts)
    if #texts == 0 or not is_heard(root .. queue .. ':') then return end
    for _, text in ipairs(texts) do redis.pcall('PUBLISH', prefix .. queue, text) end
  end

  return tell, pass_on, is_heard
end
