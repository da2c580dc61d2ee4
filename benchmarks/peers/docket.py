"""docket: a Redis stream with a group of consumers."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

from docket import Docket, Worker

from benchmarks.proof import TALLY

logging.disable()


async def note(number: int) -> None:
    TALLY.note(number)


def enqueue_one(url: str, tasks: int) -> float:
    return asyncio.run(_enqueue_one(url, tasks))


def drain(url: str, tasks: int, concurrency: int) -> float:
    return asyncio.run(_drain(url, tasks, concurrency))


async def _enqueue_one(url: str, tasks: int) -> float:
    async with Docket("bench", url=url) as docket:
        return await _enqueue(docket, tasks)


async def _drain(url: str, tasks: int, concurrency: int) -> float:
    async with Docket("bench", url=url, execution_ttl=timedelta(0)) as docket:
        docket.register(note)
        await _enqueue(docket, tasks)
        TALLY.expect(tasks)
        soon = timedelta(milliseconds=1)  # at 250 ms, the default, it takes 4 batches a second
        async with Worker(
            docket,
            concurrency=concurrency,
            minimum_check_interval=soon,
        ) as worker:
            await worker.run_until_finished()
    TALLY.check()
    return TALLY.seconds


async def _enqueue(docket: Docket, tasks: int) -> float:
    begins = time.perf_counter()
    for number in range(tasks):
        await docket.add(note)(number)
    return time.perf_counter() - begins
