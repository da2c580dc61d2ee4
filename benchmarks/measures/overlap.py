"""Eight handlers that sleep, at concurrency 8: eight at a time, all the time."""

from __future__ import annotations

import time
from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Goal, Row, row
from benchmarks.proof import TALLY

SLEEP = 0.05  # seconds
GOAL = Goal("1x perfect (1.05 at most)", at_most=1.05)


def sleeper(payload: Any) -> None:
    time.sleep(SLEEP)
    TALLY.note(payload["n"])


def runqy(url: str, tasks: int) -> float:
    with ours.session(url) as session:
        worker = ours.serve(session, sleeper, concurrency=8)
        TALLY.expect(tasks)
        raw.enqueue_many(redis.Redis.from_url(url), ({"n": number} for number in range(tasks)))
        took = ours.drained(worker, tasks, TALLY.all_ran.wait)
    TALLY.check()
    return took


def measure(bench: Bench) -> list[Row]:
    tasks = bench.size(800, 320)
    perfect = {"seconds": tasks / 8 * SLEEP}
    samples = bench.interleaved(
        {
            "perfect": lambda: perfect,
            "8 sleeping handlers": lambda: {"seconds": bench.call(__name__, "runqy", tasks=tasks)},
        }
    )
    return [
        row("overlap", "8 sleeping handlers", samples, "seconds", "s", against="perfect", goal=GOAL)
    ]
