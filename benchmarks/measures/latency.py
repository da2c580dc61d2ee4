"""From enqueue to the result in the caller's hands, the worker being idle in the same process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, quantile, row

REST = 0.005  # seconds between two tasks, in which the worker goes to wait
P50 = Goal("p50 <= 1.0x raw", at_most=1.0)
P99 = Goal("p99 <= 2x raw", at_most=2.0)


def echo(payload: Any) -> dict[str, int]:
    return {"n": payload["n"]}


def _asked(ask: Callable[[int], object], tasks: int) -> Figures:
    """Microseconds from question to answer."""
    took = []
    for number in range(tasks):
        took.append(raw.timed(lambda number=number: ask(number)) * 1e6)
        time.sleep(REST)
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}


def raw_redis(url: str, tasks: int) -> Iterator[Figures]:
    """The result comes back through a list of its own."""
    client = redis.Redis.from_url(url, socket_timeout=None)  # others have their turn meanwhile

    def hand_over(pipe: redis.client.Pipeline, task_id: str, value: object) -> None:
        pipe.lpush(raw.RESULTS + task_id, json.dumps(value))

    def work() -> None:
        while True:
            raw.run_next(client, echo, hand_over)

    def ask(number: int) -> None:
        task_id = raw.enqueue(client, {"n": number})
        _, told = client.blpop(raw.RESULTS + task_id)
        assert json.loads(told) == {"n": number}

    threading.Thread(target=work, daemon=True).start()
    while True:
        yield _asked(ask, tasks)


def runqy(url: str, tasks: int) -> Iterator[Figures]:
    with ours.session(url) as session:
        ours.serve(session, echo).resume()

        def ask(number: int) -> None:
            assert session.enqueue(raw.QUEUE, {"n": number}).result(10) == {"n": number}

        while True:
            yield _asked(ask, tasks)


def measure(bench: Bench) -> list[Row]:
    title, how = "enqueue to result", {"tasks": bench.size(500, 100)}
    duel = bench.duel(__name__, {"raw": ("raw_redis", how), "runqy_notebook": ("runqy", how)})
    return [
        row(f"{title}, {part}", name, duel, part, "us", goal=goal)
        for part, bound in (("p50", P50), ("p99", P99))
        for name, goal in (("raw", None), ("runqy_notebook", bound))
    ]
