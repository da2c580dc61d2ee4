"""Handlers that compute: four of them in threads and in processes, two at a time."""

from __future__ import annotations

import time
from typing import Any

from benchmarks import ours
from benchmarks.harness import Bench, Figures, Goal, Row, row

TASKS = 4
GOAL = Goal("0.5x threads on two free cores (0.6 at most)", at_most=0.6)


def burner(payload: Any) -> float:
    """Counts, and gives the seconds of processor time that it took."""
    began = time.thread_time()
    for _ in range(payload["steps"]):
        pass
    return time.thread_time() - began


def runqy(url: str, executor: str, steps: int) -> Figures:
    """Seconds for all of them, once everything is warm, and of processor time for one."""
    with ours.session(url) as session:
        worker = ours.serve(session, burner, concurrency=2, executor=executor)
        worker.resume()
        session.enqueue_many(ours.PARENT, [{"steps": steps // 10}] * TASKS).results()
        began = time.perf_counter()
        used = session.enqueue_many(ours.PARENT, [{"steps": steps}] * TASKS).results()
        return {"seconds": time.perf_counter() - began, "processor": max(used)}


def measure(bench: Bench) -> list[Row]:
    steps = bench.size(60_000_000, 30_000_000)

    def of(executor: str) -> Figures:
        found: Figures = bench.call(
            __name__, "runqy", everywhere=True, executor=executor, steps=steps
        )
        return found

    samples = bench.interleaved(
        {"in threads": lambda: of("thread"), "in processes": lambda: of("process")}
    )
    title = "4 handlers that compute, 2 slots"
    return [
        row(title, "in processes", samples, "seconds", "s", against="in threads", goal=GOAL),
        row(
            f"{title}: processor time of one",
            "in processes",
            samples,
            "processor",
            "s",
            against="in threads",
        ),
    ]
