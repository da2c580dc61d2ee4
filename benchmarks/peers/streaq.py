"""streaq: a Redis stream with a group of consumers."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from streaq import Worker

from benchmarks.proof import TALLY

logging.disable()


def enqueue_one(url: str, tasks: int) -> float:
    return asyncio.run(_enqueue_one(url, tasks))


def drain(url: str, tasks: int, concurrency: int) -> float:
    return asyncio.run(_drain(url, tasks, concurrency))


def _open(url: str, concurrency: int) -> tuple[Worker, Any]:
    worker = Worker(redis_url=url, concurrency=concurrency, handle_signals=False)

    @worker.task(ttl=0, silent=True)
    async def note(number: int) -> None:
        TALLY.note(number)

    return worker, note


async def _enqueue_one(url: str, tasks: int) -> float:
    worker, note = _open(url, 1)
    async with worker:
        begins = time.perf_counter()
        for number in range(tasks):
            await note.enqueue(number)
        return time.perf_counter() - begins


async def _drain(url: str, tasks: int, concurrency: int) -> float:
    worker, note = _open(url, concurrency)
    async with worker:
        await worker.enqueue_many([note.enqueue(number) for number in range(tasks)])
    TALLY.expect(tasks)
    running = asyncio.create_task(worker.run_async())
    while not TALLY.all_ran.is_set():
        await asyncio.sleep(0.01)
    running.cancel()
    TALLY.check()
    return TALLY.seconds
