"""The package as a program uses it, through its public API only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from runqy_notebook import Session, task
from runqy_notebook.worker.worker import Worker

PARENT = "bench"


@contextmanager
def session(url: str, **settings: Any) -> Iterator[Session]:
    """A session with the default settings but for these."""
    with Session(url, **settings) as opened:
        yield opened


def serve(
    opened: Session, handler: Callable[[Any], object], *, concurrency: int = 1, **options: Any
) -> Worker:
    """A worker for PARENT that has started and is paused."""
    task(queue=PARENT)(handler)
    worker = opened.start_worker(PARENT, concurrency=concurrency, **options)
    worker.pause()
    return worker


def drained(worker: Worker, tasks: int, all_ran: Callable[[float], bool]) -> float:
    """The seconds from the first claim to the last outcome written down; pauses it again."""
    ends = worker.status.completed + tasks

    def await_outcomes() -> float:
        while worker.status.completed < ends:
            time.sleep(0.0002)
        return time.perf_counter()

    # Not by this thread, if it is the main one: slots rest while that is at work.
    with ThreadPoolExecutor(1) as elsewhere:
        begins = time.perf_counter()
        worker.resume()
        assert all_ran(300.0), "the handlers did not all run within 300 s"
        took = elsewhere.submit(await_outcomes).result() - begins
    worker.pause()
    return took
