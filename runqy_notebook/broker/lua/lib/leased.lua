-- is_leased(claim, id, at): whether that claim's lease still runs, in whichever queue.
local function is_leased(claim, id, at)
  local base = claim and string.match(claim, '^([^|]*)|')
  local expires = base and redis.pcall('ZSCORE', base .. 'lease', id)
  return type(expires) == 'string' and tonumber(expires) > at
end
