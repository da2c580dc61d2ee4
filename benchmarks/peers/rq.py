"""rq: a worker that does not fork; the job's record and registries in Redis."""

from __future__ import annotations

import logging
import time

from redis import Redis
from rq import Queue, SimpleWorker

from benchmarks.proof import TALLY

logging.disable()


def handler(number: int) -> None:
    TALLY.note(number)


def enqueue_one(url: str, tasks: int) -> float:
    queue = Queue(connection=Redis.from_url(url))
    queue.enqueue(handler, 0)
    begins = time.perf_counter()
    for number in range(tasks):
        queue.enqueue(handler, number)
    return time.perf_counter() - begins


def drain(url: str, tasks: int, concurrency: int) -> float:
    client = Redis.from_url(url)
    queue = Queue(connection=client)
    jobs = [Queue.prepare_data(handler, (number,), result_ttl=0) for number in range(tasks)]
    queue.enqueue_many(jobs)
    TALLY.expect(tasks)
    SimpleWorker([queue], connection=client).work(burst=True)
    TALLY.check()
    return TALLY.seconds
