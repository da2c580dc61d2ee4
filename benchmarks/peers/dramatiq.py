"""dramatiq on Redis: a message is acknowledged once its handler has returned."""

from __future__ import annotations

import logging
import time
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from benchmarks.proof import TALLY

logging.disable()


def _open(url: str) -> tuple[RedisBroker, Any]:
    broker = RedisBroker(url=url)
    dramatiq.set_broker(broker)
    return broker, dramatiq.actor(TALLY.note, actor_name="note")


def enqueue_one(url: str, tasks: int) -> float:
    _, handler = _open(url)
    handler.send(0)
    begins = time.perf_counter()
    for number in range(tasks):
        handler.send(number)
    return time.perf_counter() - begins


def drain(url: str, tasks: int, concurrency: int) -> float:
    broker, handler = _open(url)
    for number in range(tasks):
        handler.send(number)
    TALLY.expect(tasks)
    dramatiq.Worker(broker, worker_threads=concurrency).start()
    assert TALLY.all_ran.wait(120)
    TALLY.check()
    return TALLY.seconds
