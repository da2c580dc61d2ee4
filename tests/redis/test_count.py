"""Moments as text and the counters' days, which Lua has to reckon itself."""

from __future__ import annotations

from datetime import datetime, timezone
from importlib import resources

import pytest
import redis as redis_py

LIB = resources.files("runqy_notebook.broker") / "lua" / "lib"
LUA = "".join(
    (LIB / name).read_text(encoding="utf-8") for name in ("now.lua", "day.lua", "count.lua")
)
DAYS = [
    "1970-01-01",
    "1972-02-29",
    "1999-12-31",
    "2000-02-29",
    "2000-03-01",
    "2026-01-31",
    "2026-02-28",
    "2026-11-22",
    "2028-02-29",
    "2100-02-28",
    "2100-03-01",
    "2399-12-31",
    "2400-02-29",
]


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("time", ["00:00:00", "23:59:59"])
def test_a_day_has_the_name_that_calendars_give_it(
    redis: redis_py.Redis, day: str, time: str
) -> None:
    at = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=timezone.utc).timestamp()
    script = LUA + "count(KEYS[1], 'processed') counted(ARGV[1])"

    redis.eval(script, 1, "asynq:mail_default:", at)

    assert set(redis.keys()) == {
        b"asynq:mail_default:processed",
        f"asynq:mail_default:processed:{day}".encode(),
    }


@pytest.mark.parametrize(
    ("at", "text"),
    [("1795334059", "1795334059.000"), ("1795334059.9996", "1795334059.999")],
)
def test_a_moment_as_text_is_never_later_than_it_was(
    redis: redis_py.Redis, at: str, text: str
) -> None:
    assert redis.eval(LUA + "return stamp(tonumber(ARGV[1]))", 0, at) == text.encode()
