"""Enqueueing one task after another, a round trip each."""

from __future__ import annotations

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Goal, Row, processor, rates, row

PAYLOAD = {"image": "s3://bucket/cat.png", "size": 224}
GOAL = Goal(">= 1.2x raw", at_least=1.2)
WARM_UP = 200


def raw_redis(url: str, tasks: int) -> dict[str, float]:
    client = redis.Redis.from_url(url)
    raw.enqueue_many(client, [PAYLOAD] * WARM_UP, 1)
    return raw.clocked(
        lambda: raw.timed(lambda: [raw.enqueue(client, PAYLOAD) for _ in range(tasks)])
    )


def runqy(url: str, tasks: int) -> dict[str, float]:
    with ours.session(url) as session:
        for _ in range(WARM_UP):
            session.enqueue(raw.QUEUE, PAYLOAD)
        return raw.clocked(
            lambda: raw.timed(
                lambda: [session.enqueue(raw.QUEUE, PAYLOAD) for _ in range(tasks)],
            )
        )


def measure(bench: Bench) -> list[Row]:
    tasks = bench.size(20_000, 3_000)
    few = bench.size(5_000, 1_000)
    contenders = {
        "raw": lambda: rates(tasks, bench.call(__name__, "raw_redis", tasks=tasks)),
        "runqy_notebook": lambda: rates(tasks, bench.call(__name__, "runqy", tasks=tasks)),
    }
    for peer, python in bench.peers.items():
        module = f"benchmarks.peers.{peer.name}"
        contenders[peer.name] = lambda module=module, python=python: rates(
            few, bench.call(module, "enqueue_one", python, tasks=few)
        )
    samples = bench.interleaved(contenders)
    return [
        *(
            row(
                "enqueue one",
                name,
                samples,
                "rate",
                "tasks/s",
                goal=GOAL if name == "runqy_notebook" else None,
            )
            for name in contenders
        ),
        processor("enqueue one", "raw", samples),
        processor("enqueue one", "runqy_notebook", samples),
    ]
