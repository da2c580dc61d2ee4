"""Running what waits, with a handler that only notes that it ran: every drain proves that each
task ran exactly once.

Ours counts from the first claim to the last outcome written down, with all defaults: leases,
guardian, events, records of what finished.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, Samples, processor, rates, row
from benchmarks.proof import TALLY

OFF = Goal(">= 4x raw", at_least=4.0)
STORED = Goal(">= 4x raw", at_least=4.0)
WIDE = Goal(">= 1x concurrency 1", at_least=1.0)
PEER = Goal(">= 5x it", at_least=5.0)
OWN = "runqy_notebook"


def handler(payload: Any) -> dict[str, int]:
    TALLY.note(payload["n"])
    return {"n": payload["n"]}


def _fill(client: redis.Redis, tasks: int) -> None:
    TALLY.expect(tasks)
    raw.enqueue_many(client, ({"n": number} for number in range(tasks)))


def raw_redis(url: str, tasks: int, stored: bool = False) -> Iterator[Figures]:
    client = redis.Redis.from_url(url)
    finish = (raw.store,) if stored else ()

    def drain() -> None:
        for _ in range(tasks):
            raw.run_next(client, handler, *finish)

    while True:
        _fill(client, tasks)
        told = raw.clocked(client, tasks, lambda: raw.timed(drain))
        TALLY.check()
        yield told


def runqy(url: str, tasks: int, concurrency: int = 1, stored: bool = False) -> Iterator[Figures]:
    client = redis.Redis.from_url(url)
    with ours.session(url) as session:
        worker = ours.serve(session, handler, concurrency=concurrency, store_results=stored)
        while True:
            _fill(client, tasks)
            told = raw.clocked(
                client, tasks, lambda: ours.drained(worker, tasks, TALLY.all_ran.wait)
            )
            TALLY.check()
            assert not client.llen(raw.PENDING)
            assert not client.llen(raw.ACTIVE)
            yield told


def measure(bench: Bench) -> list[Row]:
    tasks = bench.size(2_000, 500)
    duel = bench.duel(
        __name__,
        {
            "raw": ("raw_redis", {"tasks": tasks}),
            "raw, results stored": ("raw_redis", {"tasks": tasks, "stored": True}),
            OWN: ("runqy", {"tasks": tasks}),
            f"{OWN}, results stored": ("runqy", {"tasks": tasks, "stored": True}),
            f"{OWN}, concurrency 8": ("runqy", {"tasks": tasks, "concurrency": 8}),
        },
    )
    return [
        _row("raw", duel),
        _row(OWN, duel, goal=OFF),
        _row("raw, results stored", duel),
        _row(f"{OWN}, results stored", duel, "raw, results stored", STORED),
        _row(f"{OWN}, concurrency 8", duel, OWN, WIDE),
        *processor("drain", duel, ("raw", OWN)),
        *(_peers(bench) if bench.peers else []),
    ]


def _peers(bench: Bench) -> list[Row]:
    """Each in a process of its own, a round at a time, beside a raw one and one of ours; theirs
    count from the first to the last call of the handler.
    """
    tasks = bench.size(5_000, 1_000)
    contenders = {
        "raw": lambda: bench.call(__name__, "raw_redis", tasks=tasks),
        OWN: lambda: bench.call(__name__, "runqy", tasks=tasks),
    }
    keeps = []
    for peer, python in bench.peers.items():
        for concurrency in (1, 8) if peer.has_threads else (1,):
            name = f"{peer.name}, concurrency {concurrency}"
            keeps += [name] * peer.is_recoverable
            contenders[name] = lambda peer=peer, python=python, concurrency=concurrency: rates(
                tasks,
                bench.call(peer.module, "drain", python, tasks=tasks, concurrency=concurrency),
            )
    samples = bench.interleaved(contenders)
    fastest = max(keeps, key=lambda name: sum(each["rate"] for each in samples[name]))
    loses = {name: f"{name} (a task dies with its worker)" for name in samples if name not in keeps}
    return [
        _row(OWN, samples, fastest, PEER, f"{OWN} against the fastest recoverable peer"),
        *(_row(name, samples, title=loses.get(name)) for name in list(samples)[2:]),
    ]


def _row(
    name: str,
    samples: Samples,
    against: str = "raw",
    goal: Goal | None = None,
    title: str | None = None,
) -> Row:
    made = row("drain", name, samples, "rate", "tasks/s", against=against, goal=goal)
    return replace(made, contender=title or name)
