-- completing(terms, at): gives complete(base, id, key, text, life, told), which writes down that a
-- task is done, and the number of these by base. `terms` are {ttl, results, tell}: seconds that the
-- record lives, what the key of a result begins with, who tells. text: the result to store as JSON,
-- empty for none; life: of that, in seconds; told: the result that listeners get, '=' for that same
-- text, empty for none.
local function completing(terms, at)
  local done = {}
  local ended, life = stamp(at), string.format('%.0f', math.ceil(terms.ttl))
  local expires = string.format('%.6f', at + terms.ttl)

  local function complete(base, id, key, text, result_life, told)
    if text ~= '' then
      redis.call('SET', terms.results .. id, text, 'PX', math.ceil(result_life * 1000))
    end
    local news = told == '=' and text or told
    done[base] = (done[base] or 0) + 1
    terms.tell(base, id, 'completed', 'completed', nil, news ~= '' and news)
    if terms.ttl <= 0 then
      redis.call('DEL', key)
    else
      redis.call('HSET', key, 'state', 'completed', 'completed_at', ended)
      redis.call('HDEL', key, 'claim', 'error_msg')
      redis.call('EXPIRE', key, life)
      redis.call('ZADD', base .. 'completed', expires, id)
    end
  end

  return complete, done
end
