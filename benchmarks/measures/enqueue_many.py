"""Enqueueing in bulk, 500 tasks a round trip."""

from __future__ import annotations

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Goal, Row, processor, rates, row
from benchmarks.measures.enqueue_one import PAYLOAD

GOAL = Goal(">= 3x raw pipelined", at_least=3.0)
BATCH = 500


def raw_redis(url: str, tasks: int) -> dict[str, float]:
    client = redis.Redis.from_url(url)
    raw.enqueue_many(client, [PAYLOAD] * BATCH, BATCH)
    return raw.clocked(
        lambda: raw.timed(lambda: raw.enqueue_many(client, [PAYLOAD] * tasks, BATCH))
    )


def runqy(url: str, tasks: int) -> dict[str, float]:
    with ours.session(url) as session:
        session.enqueue_many(raw.QUEUE, [PAYLOAD] * BATCH)
        return raw.clocked(
            lambda: raw.timed(lambda: session.enqueue_many(raw.QUEUE, [PAYLOAD] * tasks))
        )


def measure(bench: Bench) -> list[Row]:
    tasks = bench.size(100_000, 20_000)
    contenders = {
        "raw": lambda: rates(tasks, bench.call(__name__, "raw_redis", tasks=tasks)),
        "runqy_notebook": lambda: rates(tasks, bench.call(__name__, "runqy", tasks=tasks)),
    }
    samples = bench.interleaved(contenders)
    return [
        row("enqueue_many", "raw", samples, "rate", "tasks/s"),
        row("enqueue_many", "runqy_notebook", samples, "rate", "tasks/s", goal=GOAL),
        processor("enqueue_many", "raw", samples),
        processor("enqueue_many", "runqy_notebook", samples),
    ]
