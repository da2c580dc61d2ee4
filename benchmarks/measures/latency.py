"""From enqueue to the result in the caller's hands, the worker being idle in the same process."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, quantile, row

REST = 0.005  # seconds between two tasks, in which the worker goes to wait
WARM_UP = 50
P50 = Goal("p50 <= 1.0x raw", at_most=1.0)
P99 = Goal("p99 <= 2x raw", at_most=2.0)


def echo(payload: Any) -> dict[str, int]:
    return {"n": payload["n"]}


def _asked(ask: Callable[[int], object], tasks: int) -> Figures:
    """Microseconds from question to answer."""
    took = []
    for number in range(WARM_UP + tasks):
        took.append(raw.timed(lambda number=number: ask(number)) * 1e6)
        time.sleep(REST)
    took = took[WARM_UP:]
    return {"p50": quantile(took, 0.5), "p99": quantile(took, 0.99)}


def raw_redis(url: str, tasks: int) -> Figures:
    """The result comes back through a list of its own."""
    client = redis.Redis.from_url(url)

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
    return _asked(ask, tasks)


def runqy(url: str, tasks: int) -> Figures:
    with ours.session(url) as session:
        ours.serve(session, echo).resume()

        def ask(number: int) -> None:
            assert session.enqueue(raw.QUEUE, {"n": number}).result(10) == {"n": number}

        return _asked(ask, tasks)


def measure(bench: Bench) -> list[Row]:
    tasks = bench.size(2_000, 300)
    contenders = {
        "raw": lambda: bench.call(__name__, "raw_redis", tasks=tasks),
        "runqy_notebook": lambda: bench.call(__name__, "runqy", tasks=tasks),
    }
    samples = bench.interleaved(contenders)
    title = "enqueue to result"
    return [
        row(f"{title}, {part}", name, samples, part, "us", goal=goal)
        for part, goal in (("p50", P50), ("p99", P99))
        for name, goal in (("raw", None), ("runqy_notebook", goal))
    ]
