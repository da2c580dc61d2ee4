"""arq: the job stays in its sorted set, with an in-progress key, until it is done."""

from __future__ import annotations

import asyncio
import time

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker, func

from benchmarks.proof import TALLY


async def note(ctx: object, number: int) -> None:
    TALLY.note(number)


def enqueue_one(url: str, tasks: int) -> float:
    return asyncio.run(_enqueue(url, tasks))


def drain(url: str, tasks: int, concurrency: int) -> float:
    asyncio.run(_enqueue(url, tasks))
    TALLY.expect(tasks)
    Worker(
        [func(note, keep_result=0)],
        redis_settings=RedisSettings.from_dsn(url),
        max_jobs=concurrency,
        burst=True,
        poll_delay=0.001,  # at 0.5 s, its default, 10 jobs at a time make 20 a second
        handle_signals=False,
    ).run()
    TALLY.check()
    return TALLY.seconds


async def _enqueue(url: str, tasks: int) -> float:
    pool = await create_pool(RedisSettings.from_dsn(url))
    begins = time.perf_counter()
    for number in range(tasks):
        await pool.enqueue_job("note", number)
    return time.perf_counter() - begins
