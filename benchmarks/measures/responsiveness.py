"""How soon the cell `1+1` is done while the worker of the same kernel works."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import redis

from benchmarks import kernels, raw
from benchmarks.harness import Bench, Figures, Goal, Row, quantile, row

DRAINING = Goal("p95 <= 1.5x idle", at_most=1.5)
THREAD = Goal("p95 <= 3x idle", at_most=3.0)
PROCESS = Goal("p95 <= 1.2x idle", at_most=1.2)
REST = 0.02  # seconds between two cells

_SETUP = """
%load_ext runqy_notebook
import threading
import runqy_notebook as rn
from runqy_notebook import current_task, task
from runqy_notebook.current import session
over = threading.Event()

@task(queue="bench")
def noop(payload):
    pass

@task(queue="hot")
def hot(payload):
    n = 0
    while not over.is_set():
        n += 1

@task(queue="beside")
def beside(payload):
    n = 0
    while not current_task().cancelled:
        n += 1

worker = session().start_worker("bench")
"""
_COMPLETED = "print('completed', worker.status.completed)"


def _cells(kernel: kernels.Kernel, cells: int) -> float:
    """The 95th percentile in milliseconds."""
    took = []
    for _ in range(cells):
        took.append(kernel.run("1+1") * 1e3)
        time.sleep(REST)
    return quantile(took, 0.95)


def _completed(kernel: kernels.Kernel) -> int:
    printed = kernel.said(_COMPLETED)[1]
    return int(printed.rsplit("completed ", 1)[1])


def _one_kernel(kernel: kernels.Kernel, client: redis.Redis, cells: int) -> dict[str, float]:
    """The percentile with the worker idle, draining, and running a handler that
    computes, in a thread and in a process.
    """
    kernel.run(_SETUP)
    told = {"idle": _cells(kernel, cells)}

    kernel.run("worker.pause()")
    raw.enqueue_many(client, ({} for _ in range(cells * 2_000)))
    kernel.run("worker.resume()")
    before = _completed(kernel)
    told["draining"] = _cells(kernel, cells)
    assert _completed(kernel) - before > cells, "it did not drain meanwhile"
    assert client.llen(raw.PENDING), "too few tasks to drain all the time"

    kernel.run("worker.serve(['hot']); handle = session().enqueue('hot', {})")
    client.delete(raw.PENDING)
    _await_active(kernel)
    told["thread"] = _cells(kernel, cells)
    kernel.run("over.set(); handle.wait(10); session().stop_worker()")

    kernel.run("worker = session().start_worker('beside', executor='process')")
    kernel.run("handle = session().enqueue('beside', {})")
    _await_active(kernel)
    told["process"] = _cells(kernel, cells)
    kernel.run("session().stop_worker()")
    return told


def _await_active(kernel: kernels.Kernel) -> None:
    while "active" not in kernel.said("print(handle.state)")[1]:
        time.sleep(0.05)


def measure(bench: Bench) -> list[Row]:
    cells = bench.size(200, 60)
    phases = {"idle": None, "draining": DRAINING, "thread": THREAD, "process": PROCESS}
    titles = {
        "idle": "the worker idle",
        "draining": "draining no-ops",
        "thread": "a CPU-bound handler in a thread",
        "process": "a CPU-bound handler in a process",
    }
    samples: dict[str, list[Figures]] = {titles[phase]: [] for phase in phases}
    for _ in range(bench.rounds):
        bench.client.flushall()
        with (
            tempfile.TemporaryDirectory() as folder,
            kernels.running(Path(folder), RUNQY_URL=bench.url) as kernel,
        ):
            for phase, value in _one_kernel(kernel, bench.client, cells).items():
                samples[titles[phase]].append({"p95": value})
    return [
        row(
            "the cell 1+1, p95",
            titles[phase],
            samples,
            "p95",
            "ms",
            against=titles["idle"],
            goal=goal,
        )
        for phase, goal in phases.items()
    ]
