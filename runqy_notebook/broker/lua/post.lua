-- Writes rows into the outbox outside of a task's end: what a handler delivers by itself.
--
-- KEYS  1 outbox
-- ARGV  1 parcel, as in lib/outbox.lua
-- Gives 1, or 0 where a key has the wrong type.
-- uses now outbox

return dispatch(KEYS[1], ARGV[1], now()) and 1 or 0
