-- now(): unix seconds with fractions by the server's clock, the only clock that decides here.
local function now()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

-- stamp(at): `at` as decimal text with milliseconds, never later than `at` itself.
local function stamp(at)
  return string.format('%.3f', math.floor(at * 1000) / 1000)
end
