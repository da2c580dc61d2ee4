"""Enqueueing in bulk, 500 tasks a round trip."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, processor, row
from benchmarks.measures.enqueue_one import PAYLOAD

GOAL = Goal(">= 3x raw pipelined", at_least=3.0)


def raw_redis(url: str, tasks: int) -> Iterator[Figures]:
    client, payloads = redis.Redis.from_url(url), [PAYLOAD] * tasks
    while True:
        client.flushdb()
        yield raw.clocked(
            client, tasks, lambda: raw.timed(lambda: raw.enqueue_many(client, payloads))
        )


def runqy(url: str, tasks: int) -> Iterator[Figures]:
    client, payloads = redis.Redis.from_url(url), [PAYLOAD] * tasks
    with ours.session(url) as session:
        while True:
            client.flushdb()
            yield raw.clocked(
                client, tasks, lambda: raw.timed(lambda: session.enqueue_many(raw.QUEUE, payloads))
            )


def measure(bench: Bench) -> list[Row]:
    title, how = "enqueue_many", {"tasks": bench.size(10_000, 5_000)}
    duel = bench.duel(__name__, {"raw": ("raw_redis", how), "runqy_notebook": ("runqy", how)})
    return [
        row(title, "raw", duel, "rate", "tasks/s"),
        row(title, "runqy_notebook", duel, "rate", "tasks/s", goal=GOAL),
        *processor(title, duel, ("raw", "runqy_notebook")),
    ]
