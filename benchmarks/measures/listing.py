"""`session.pending()` as a DataFrame, against the bare list of dicts; and the memory it takes.

Memory is the process's resident peak while it lists, less what it had before. The data are what
the raw list of dicts holds once it is there.
"""

from __future__ import annotations

from pathlib import Path

import redis

from benchmarks import ours, raw
from benchmarks.harness import Bench, Figures, Goal, Row, row
from benchmarks.measures.enqueue_one import PAYLOAD

GOAL = Goal("<= 0.4x raw", at_most=0.4)
PEAK = Goal("peak <= 3x the data", at_most=3.0)


def resident(field: str = "VmRSS") -> float:
    """MB that this process holds, or held at its peak (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def forget_peak() -> None:
    """From now on VmHWM is the peak."""
    Path("/proc/self/clear_refs").write_text("5")


def raw_redis(url: str) -> Figures:
    client = redis.Redis.from_url(url)
    client.ping()
    forget_peak()
    before = resident()
    found: list[object] = []
    took = raw.timed(lambda: found.extend(raw.listed(client)))
    return {
        "ms": took * 1e3,
        "peak": resident("VmHWM") - before,
        "held": resident() - before,
        "rows": len(found),
    }


def runqy(url: str) -> Figures:
    with ours.session(url) as session:
        session.pending(limit=10)  # imports pandas
        forget_peak()
        before = resident()
        frames = []
        took = raw.timed(lambda: frames.append(session.pending(ours.PARENT)))
        return {
            "ms": took * 1e3,
            "peak": resident("VmHWM") - before,
            "held": resident() - before,
            "rows": len(frames[0]),
        }


def measure(bench: Bench) -> list[Row]:
    rows: list[Row] = []
    for tasks in (10_000, 100_000):
        bench.client.flushall()
        raw.enqueue_many(bench.client, [PAYLOAD] * tasks)
        samples = bench.interleaved(
            {
                "raw": lambda: bench.call_as_is(__name__, "raw_redis"),
                "runqy_notebook": lambda: bench.call_as_is(__name__, "runqy"),
            }
        )
        assert all(each["rows"] == tasks for figures in samples.values() for each in figures)
        title, who = f"pending() of {tasks:,}", "runqy_notebook"
        rows += [
            row(title, "raw", samples, "ms", "ms"),
            row(title, who, samples, "ms", "ms", goal=GOAL),
            row(f"{title}, what raw holds", "raw", samples, "held", "MB"),
            row(f"{title}, peak", who, samples, "peak", "MB", base="held", goal=PEAK),
        ]
    return rows
