-- rows(taken, tasks): {base, id, token, the CLAIM_FIELDS...} of each {base, id, token}.
local function rows(taken, tasks)
  local full = {}
  for i, row in ipairs(taken) do
    local fields = redis.call('HMGET', tasks .. row[2], 'type', 'payload', 'retry', 'max_retry',
      'timeout', 'deadline', 'store', 'result_ttl', 'crashes')
    full[i] = {row[1], row[2], row[3], fields}
  end
  return full
end
