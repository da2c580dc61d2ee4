-- The CLAIM_FIELDS of wire/documented.py, in their order.
local claim_fields = {
  'type', 'payload', 'retry', 'max_retry', 'timeout', 'deadline', 'store', 'result_ttl', 'crashes',
  'losses', 'deliver',
}

-- attempt(fields): which attempt a claim of these CLAIM_FIELDS is, of how many. What is no number
-- of the usual size counts as 0.
local function attempt(fields)
  local function count(text)
    return tonumber(text and string.match(text, '^%d%d?%d?%d?%d?%d?%d?%d?%d?$')) or 0
  end
  return {attempt = count(fields[3]) + 1, attempts = count(fields[4]) + 1}
end

-- rows(taken, tasks): {base, id, token, {the CLAIM_FIELDS...}} of each {base, id, token} that is
-- still held by this token: a reply asked for again may come late.
local function rows(taken, tasks)
  local full = {}
  for _, row in ipairs(taken) do
    local fields = redis.pcall('HMGET', tasks .. row[2], 'claim', unpack(claim_fields))
    if table.remove(fields, 1) == row[3] then
      full[#full + 1] = {row[1], row[2], row[3], fields}
    end
  end
  return full
end
