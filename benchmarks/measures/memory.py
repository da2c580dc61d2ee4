"""What a worker adds to its process, and whether that stays as tasks go by."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, row
from benchmarks.measures.listing import resident

ADDS = Goal("<= 15 MB", at_most=15, of="value")
FLAT = Goal("flat (<= 1 MB)", at_most=1, of="value")
FIRST = 10_000  # tasks after which it is to be flat
CHUNK = 10_000


class Count:
    """A handler that counts, for lists of numbers would grow."""

    def __init__(self) -> None:
        self.left = 0
        self.none_left = threading.Event()

    def __call__(self, payload: Any) -> None:
        self.left -= 1
        if not self.left:
            self.none_left.set()

    def expect(self, tasks: int) -> None:
        self.none_left.clear()
        self.left = tasks


def runqy(url: str, tasks: int) -> Figures:
    client, count = redis.Redis.from_url(url), Count()

    def run(many: int) -> None:
        count.expect(many)
        raw.enqueue_many(client, ({} for _ in range(many)))
        ours.drained(worker, many, count.none_left.wait)

    def handler(payload: Any) -> None:
        count(payload)

    with ours.session(url) as session:
        raw.enqueue_many(client, ({} for _ in range(CHUNK)))
        client.flushall()
        without = resident()
        worker = ours.serve(session, handler)
        run(FIRST // 10)
        started = resident()
        run(FIRST - FIRST // 10)
        early = resident()
        for _ in range(FIRST, tasks, CHUNK):
            run(CHUNK)
        guardian = _children()
        adds = started - without + guardian
        return {"adds": adds, "guardian": guardian, "grows": resident() - early}


def _children() -> float:
    """MB that the processes we started hold."""
    total = 0.0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            told = dict(line.split(":", 1) for line in status.read_text().splitlines())
        except (OSError, ValueError):
            continue
        if int(told["PPid"]) == os.getpid() and "VmRSS" in told:
            total += int(told["VmRSS"].split()[0]) / 1024
    return total


def measure(bench: Bench) -> list[Row]:
    tasks = bench.tasks or bench.size(1_000_000, 50_000)
    samples = {"runqy_notebook": [bench.call(__name__, "runqy", tasks=tasks)]}

    def told(measure: str, figure: str, goal: Goal | None) -> Row:
        return row(measure, "runqy_notebook", samples, figure, "MB", against=None, goal=goal)

    return [
        told("memory, the worker adds with its guardian", "adds", ADDS),
        told("memory, of that the guardian", "guardian", None),
        told(f"memory, growth from {FIRST:,} to {tasks:,} tasks", "grows", FLAT),
    ]
