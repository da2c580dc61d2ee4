"""Running what waits, with a handler that only notes that it ran: every drain proves that each
task ran exactly once.

Ours counts from the first claim to the last outcome written down, with all defaults: leases,
guardian, events, records of what finished.
"""

from __future__ import annotations

from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Goal, Row, Samples, processor, rates, row
from benchmarks.peers import PEERS
from benchmarks.proof import TALLY

OFF = Goal(">= 4x raw", at_least=4.0)
STORED = Goal(">= 4x raw", at_least=4.0)
WIDE = Goal(">= 1x concurrency 1", at_least=1.0)
PEER = Goal(">= 5x it", at_least=5.0)
_RECOVERABLE = {peer.name for peer in PEERS if peer.is_recoverable}


def handler(payload: Any) -> dict[str, int]:
    TALLY.note(payload["n"])
    return {"n": payload["n"]}


def _fill(client: redis.Redis, tasks: int) -> None:
    TALLY.expect(tasks)
    raw.enqueue_many(client, ({"n": number} for number in range(tasks)))


def raw_redis(url: str, tasks: int, stored: bool = False) -> dict[str, float]:
    client = redis.Redis.from_url(url)
    finish = (raw.store,) if stored else ()

    def drain() -> None:
        for _ in range(tasks):
            raw.run_next(client, handler, *finish)

    _fill(client, tasks)
    took = raw.clocked(lambda: raw.timed(drain))
    TALLY.check()
    return took


def runqy(url: str, tasks: int, concurrency: int = 1, stored: bool = False) -> dict[str, float]:
    client = redis.Redis.from_url(url)
    with ours.session(url) as session:
        worker = ours.serve(session, handler, concurrency=concurrency, store_results=stored)
        _fill(client, 200)
        ours.drained(worker, 200, TALLY.all_ran.wait)  # to warm up
        _fill(client, tasks)
        took = raw.clocked(lambda: ours.drained(worker, tasks, TALLY.all_ran.wait))
    TALLY.check()
    assert not client.llen(raw.PENDING)
    assert not client.llen(raw.ACTIVE)
    return took


def measure(bench: Bench) -> list[Row]:
    tasks, few = bench.size(20_000, 4_000), bench.size(3_000, 800)

    def ran(function: str, **how: Any) -> Any:
        return lambda: rates(tasks, bench.call(__name__, function, tasks=tasks, **how))

    contenders = {
        "raw": ran("raw_redis"),
        "raw, results stored": ran("raw_redis", stored=True),
        "runqy_notebook": ran("runqy"),
        "runqy_notebook, results stored": ran("runqy", stored=True),
        "runqy_notebook, concurrency 8": ran("runqy", concurrency=8),
    }
    for peer, python in bench.peers.items():
        for concurrency in (1, 8) if peer.has_threads else (1,):
            name = f"{peer.name}, concurrency {concurrency}"
            contenders[name] = lambda peer=peer, python=python, concurrency=concurrency: rates(
                few,
                bench.call(
                    f"benchmarks.peers.{peer.name}",
                    "drain",
                    python,
                    tasks=few,
                    concurrency=concurrency,
                ),
            )
    return _rows(bench.interleaved(contenders))


def _rows(samples: Samples) -> list[Row]:
    def told(name: str, against: str = "raw", goal: Goal | None = None, title: str = "") -> Row:
        return row("drain", title or name, samples, "rate", "tasks/s", against=against, goal=goal)

    own = "runqy_notebook"
    rows = [
        told("raw"),
        told(own, goal=OFF),
        told("raw, results stored"),
        told(f"{own}, results stored", "raw, results stored", STORED),
        told(f"{own}, concurrency 8", own, WIDE),
        processor("drain", "raw", samples),
        processor("drain", own, samples),
    ]
    peers = [name for name in samples if not name.startswith(("raw", own))]
    keeps = [name for name in peers if name.partition(",")[0] in _RECOVERABLE]
    if keeps:
        fastest = max(keeps, key=lambda name: sum(each["rate"] for each in samples[name]))
        rows.append(told(own, fastest, PEER, f"{own} against the fastest recoverable peer"))
    return rows + [
        told(name, title=name if name in keeps else f"{name} (a task dies with its worker)")
        for name in peers
    ]
