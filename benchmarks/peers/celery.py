"""celery on Redis with acks_late: unacknowledged messages come back after the visibility time."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import Celery

from benchmarks.proof import TALLY

logging.disable()


def _open(url: str) -> tuple[Celery, Any]:
    app = Celery("bench", broker=url)
    app.conf.update(
        task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True
    )

    @app.task(name="note")
    def note(number: int) -> None:
        TALLY.note(number)

    return app, note


def enqueue_one(url: str, tasks: int) -> float:
    _, handler = _open(url)
    handler.delay(0)
    begins = time.perf_counter()
    for number in range(tasks):
        handler.delay(number)
    return time.perf_counter() - begins


def drain(url: str, tasks: int, concurrency: int) -> float:
    app, handler = _open(url)
    for number in range(tasks):
        handler.delay(number)
    TALLY.expect(tasks)
    pool = "solo" if concurrency == 1 else "threads"
    worker = app.WorkController(
        pool=pool,
        concurrency=concurrency,
        without_heartbeat=True,
        without_mingle=True,
        without_gossip=True,
    )
    threading.Thread(target=worker.start, daemon=True).start()
    assert TALLY.all_ran.wait(120)
    TALLY.check()
    return TALLY.seconds
