-- Writes rows into the outbox outside of a task's end: what a handler delivers by itself.
--
-- KEYS  1 outbox
-- ARGV  1 rows as JSON, as in lib/outbox.lua  2 body  3 life of finished rows in seconds
--       4 finished rows kept  5 most rows in a lane
-- Gives the number of rows written, or -1 where a key has the wrong type.
-- uses now outbox

if not is_outbox(KEYS[1]) then return -1 end
local kept = {ttl = tonumber(ARGV[3]), cap = tonumber(ARGV[4]), most = tonumber(ARGV[5])}
local rows = cjson.decode(ARGV[1])
for _, row in ipairs(rows) do
  post(KEYS[1], row, ARGV[2], kept, now())
end
return #rows
