"""Enqueueing one task after another, a round trip each."""

from __future__ import annotations

from collections.abc import Iterator

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, processor, rates, row

PAYLOAD = {"image": "s3://bucket/cat.png", "size": 224}
GOAL = Goal(">= 1.2x raw", at_least=1.2)


def raw_redis(url: str, tasks: int) -> Iterator[Figures]:
    client = redis.Redis.from_url(url)

    def enqueue() -> None:
        for _ in range(tasks):
            raw.enqueue(client, PAYLOAD)

    while True:
        client.flushdb()
        yield raw.clocked(client, tasks, lambda: raw.timed(enqueue))


def runqy(url: str, tasks: int) -> Iterator[Figures]:
    client = redis.Redis.from_url(url)
    with ours.session(url) as session:

        def enqueue() -> None:
            for _ in range(tasks):
                session.enqueue(raw.QUEUE, PAYLOAD)

        while True:
            client.flushdb()
            yield raw.clocked(client, tasks, lambda: raw.timed(enqueue))


def measure(bench: Bench) -> list[Row]:
    title, how = "enqueue one", {"tasks": bench.size(2_000, 500)}
    duel = bench.duel(__name__, {"raw": ("raw_redis", how), "runqy_notebook": ("runqy", how)})
    return [
        row(title, "raw", duel, "rate", "tasks/s"),
        row(title, "runqy_notebook", duel, "rate", "tasks/s", goal=GOAL),
        *processor(title, duel, ("raw", "runqy_notebook")),
        *_peers(bench),
    ]


def _peers(bench: Bench) -> list[Row]:
    """Each in a process of its own, a round at a time, beside a raw one."""
    tasks = bench.size(5_000, 1_000)
    contenders = {"raw": lambda: bench.call(__name__, "raw_redis", tasks=tasks)}
    for peer, python in bench.peers.items():
        contenders[peer.name] = lambda module=peer.module, python=python: rates(
            tasks, bench.call(module, "enqueue_one", python, tasks=tasks)
        )
    samples = bench.interleaved(contenders) if bench.peers else {}
    return [row("enqueue one", peer.name, samples, "rate", "tasks/s") for peer in bench.peers]
