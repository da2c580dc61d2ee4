"""taskiq on a Redis stream: acknowledged when done, else left in the pending entries list."""

from __future__ import annotations

import asyncio
import logging
import time

from taskiq.api import run_receiver_task
from taskiq_redis import RedisStreamBroker

from benchmarks.proof import TALLY

logging.disable()


def enqueue_one(url: str, tasks: int) -> float:
    return asyncio.run(_enqueue(RedisStreamBroker(url), tasks))


def drain(url: str, tasks: int, concurrency: int) -> float:
    return asyncio.run(_drain(url, tasks, concurrency))


async def _drain(url: str, tasks: int, concurrency: int) -> float:
    broker = RedisStreamBroker(url)
    TALLY.expect(tasks)
    await _enqueue(broker, tasks)
    receiving = asyncio.create_task(run_receiver_task(broker, max_async_tasks=concurrency))
    while not TALLY.all_ran.is_set():
        await asyncio.sleep(0.01)
    receiving.cancel()
    TALLY.check()
    return TALLY.seconds


async def _enqueue(broker: RedisStreamBroker, tasks: int) -> float:
    @broker.task(task_name="note")
    async def note(number: int) -> None:
        TALLY.note(number)

    await broker.startup()
    begins = time.perf_counter()
    for number in range(tasks):
        await note.kiq(number)
    return time.perf_counter() - begins
