-- The receiver of a kernel is a destination whose name no other session has, `echo-` and some digits.
-- When that kernel is gone, nobody can ever deliver there. So `outbox:echoes` holds such lanes -> when
-- their session was last seen, or a row was first put there.
local echo_life = 3600 -- seconds that rows wait for a session that is not seen

-- keep_echo(outbox, lane, at): the lane's session is there.
local function keep_echo(outbox, lane, at)
  local seen = redis.call('ZSCORE', outbox .. ':echoes', lane)
  if seen and at - tonumber(seen) > 60 then redis.pcall('ZADD', outbox .. ':echoes', at, lane) end
end

-- leave_echo(outbox, lane, kept, at): ends what waits in a lane, at most 200 rows a call.
local function leave_echo(outbox, lane, kept, at)
  local due = outbox .. ':due:' .. lane
  local popped = redis.pcall('ZPOPMIN', due, 200)
  for i = 1, popped.err and 0 or #popped, 2 do
    if redis.call('TYPE', outbox .. ':row:' .. popped[i]).ok == 'hash' then
      finish(outbox, popped[i], 'failed', 'the receiver is gone, and with it who could reach it', kept, at)
    end
  end
  if popped.err or #popped < 400 then redis.call('ZREM', outbox .. ':echoes', lane) end
end

-- leave_echoes(outbox, kept, at): the same for a lane whose session was not seen for long.
local function leave_echoes(outbox, kept, at)
  local gone = redis.call('ZRANGEBYSCORE', outbox .. ':echoes', '-inf', at - echo_life, 'LIMIT', 0, 1)
  if gone[1] then leave_echo(outbox, gone[1], kept, at) end
end
