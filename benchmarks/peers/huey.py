"""huey: thread workers that pop a task and run it; what they had popped dies with them."""

from __future__ import annotations

import logging
import time

from huey import RedisHuey
from huey.consumer import Consumer

from benchmarks.proof import TALLY

logging.disable()


def _open(url: str) -> tuple[RedisHuey, object]:
    huey = RedisHuey("bench", url=url, results=False)
    return huey, huey.task()(lambda number: TALLY.note(number))


def enqueue_one(url: str, tasks: int) -> float:
    _, handler = _open(url)
    handler(0)
    begins = time.perf_counter()
    for number in range(tasks):
        handler(number)
    return time.perf_counter() - begins


def drain(url: str, tasks: int, concurrency: int) -> float:
    huey, handler = _open(url)
    for number in range(tasks):
        handler(number)
    TALLY.expect(tasks)
    Consumer(huey, workers=concurrency, periodic=False).start()
    assert TALLY.all_ran.wait(120)
    TALLY.check()
    return TALLY.seconds
