"""Whether enqueue, claim and acknowledgement stay as fast when much waits or many queues are there,
and what a task costs the server.
"""

from __future__ import annotations

import threading
from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, row
from benchmarks.measures.enqueue_one import PAYLOAD

FLAT = Goal("within 10 %", at_most=1.1)
MANY = Goal("<= 2x", at_most=2.0)
CPU = Goal("<= 80 us", at_most=80, of="value")


def runqy(url: str, pending: int, queues: int, tasks: int) -> Figures:
    """Microseconds a task, with `pending` tasks before and after, spread over the queues."""
    client = redis.Redis.from_url(url)
    names = [raw.QUEUE, *(f"{ours.PARENT}_s{number}" for number in range(1, queues))]
    for name in names:
        raw.enqueue_many(client, [PAYLOAD] * (pending // queues), queue=name)
        client.sadd("asynq:queues", name)

    ran, enough = [0], threading.Event()

    def handler(payload: Any) -> None:
        ran[0] += 1
        if ran[0] == tasks:
            enough.set()

    with ours.session(url) as session:
        worker = ours.serve(session, handler)
        session.enqueue_many(raw.QUEUE, [PAYLOAD] * 100)
        cpu = raw.server_cpu(client)
        enqueued = raw.timed(
            lambda: [session.enqueue(names[n % queues], PAYLOAD) for n in range(tasks)]
        )
        done = worker.status.completed
        drained = ours.drained(worker, tasks, enough.wait)
        ran_in_time = worker.status.completed - done
        return {
            "enqueue": enqueued / tasks * 1e6,
            "drain": drained / ran_in_time * 1e6,
            "server": (raw.server_cpu(client) - cpu) / (tasks + ran_in_time) * 2e6,
        }


def measure(bench: Bench) -> list[Row]:
    tasks = 5_000  # 500 for each of ten queues: Redis keeps sets of up to 128 in a slower form
    depths = (1_000, 100_000) if bench.is_quick else (1_000, 10_000, 100_000, 1_000_000)
    cases = {f"{depth:,} pending": (depth, 1) for depth in depths}
    widths = {f"{queues} sub-queues": (10_000, queues) for queues in (1, 10, 100)}

    samples = bench.interleaved(
        {
            name: lambda depth=depth, queues=queues: bench.call(
                __name__, "runqy", pending=depth, queues=queues, tasks=tasks
            )
            for name, (depth, queues) in {**cases, **widths}.items()
        }
    )
    rows = []
    for figure, title in (("enqueue", "enqueue"), ("drain", "claim, run and acknowledge")):
        for name in samples:
            against = next(iter(cases if name in cases else widths))
            goal = MANY if name == "100 sub-queues" else FLAT
            rows.append(
                row(
                    f"growth: {title}",
                    name,
                    samples,
                    figure,
                    "us",
                    against=against,
                    goal=None if name == against else goal,
                )
            )
    first = next(iter(cases))
    return [
        *rows,
        row("server CPU a task", first, samples, "server", "us", against=None, goal=CPU),
    ]
