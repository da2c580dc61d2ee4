-- owing(outbox, terms, at): gives owe(base, id, key, error), which writes what is to be delivered of a
-- task that is archived by somebody else than the worker that ran it: rows for each name and URL in
-- the field `deliver` of its hash. `terms` are five lines: what a base begins with before the
-- queue's name, the lane of URLs, seconds that finished rows live, how many of them are kept, how many
-- rows may wait in a lane.

-- readable(text): `text` as JSON; where it is not UTF-8, with question marks in it.
local function readable(text)
  local rest = string.gsub(text, '[%z\1-\127]', '')
  rest = string.gsub(rest, '[\240-\244][\128-\191][\128-\191][\128-\191]', '')
  rest = string.gsub(rest, '[\224-\239][\128-\191][\128-\191]', '')
  rest = string.gsub(rest, '[\194-\223][\128-\191]', '')
  if rest ~= '' then text = string.gsub(text, '[\128-\255]+', '?') end
  return cjson.encode(text)
end

local function iso(at)
  local second = math.floor(at % 86400)
  return string.format('%sT%02d:%02d:%02d.%03dZ', civil_day(at), math.floor(second / 3600),
    math.floor(second / 60) % 60, second % 60, math.floor(at * 1000) % 1000)
end

local function owing(outbox, terms, at)
  local root, lane, ttl, cap, most =
    string.match(terms, '^([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)\n([^\n]*)$')
  local kept = {ttl = tonumber(ttl), cap = tonumber(cap), most = tonumber(most)}

  local function lane_of(to)
    if #to <= 64 and string.match(to, '^%a[%w_-]*$') then return 'name:' .. to end
    return string.match(string.lower(to), '^https?://') and lane
  end

  return function(base, id, key, error)
    local held = redis.pcall('HMGET', key, 'deliver', 'retry')
    if not held[1] or not is_outbox(outbox) then return end
    local queue = string.sub(base, #root + 1, -2)
    local retry = tonumber(string.match(held[2] or '', '^%d%d?%d?%d?%d?%d?$')) or 0
    local body = string.format(
      '{"task_id": %s, "queue": %s, "status": "archived", "error": %s, "attempt": %d, "completed_at": "%s"}',
      readable(id), readable(queue), readable(error), retry + 1, iso(at))
    local n = 0
    for to in string.gmatch(held[1], '%S+') do
      local found = n < 10 and lane_of(to)
      if found then
        n = n + 1
        local row = 'msg_' .. string.sub(redis.sha1hex(key .. ' ' .. stamp(at) .. ' ' .. to), 1, 32)
        post(outbox, {
          id = row, to = to, lane = found, wait = 0, task_id = id, queue = queue, status = 'archived',
        }, body, kept, at)
      end
    end
  end
end
