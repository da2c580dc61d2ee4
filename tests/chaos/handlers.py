"""What tasks do in these tests. Each leaves its traces in the journal."""

from __future__ import annotations

import ctypes
import os
import select
from typing import Any

from runqy_notebook import Retry, task
from tests.chaos.journal import is_first_time, note

PARENT, QUEUE = "chaos", "chaos_default"


@task(queue=PARENT)
def act(payload: dict[str, Any]) -> object:
    """Does what the payload says under `act`; the value names the process that did it."""
    task_id = payload.get("task_id")
    note("start", task_id)
    globals()[payload["act"]](task_id, payload.get("seconds", 0))
    note("end", task_id)
    return os.getpid()


def nap(task_id: str, seconds: float) -> None:
    """Takes a while, and lets other threads run."""
    # Not time.sleep: libfaketime 0.9.10 breaks the clock_nanosleep that Python 3.11 uses for it.
    select.select([], [], [], seconds)


def nap_once(task_id: str, seconds: float) -> None:
    """Takes a while the first time only."""
    if is_first_time(task_id):
        nap(task_id, seconds)


def hold(task_id: str, seconds: float) -> None:
    """Takes a while in C and holds the GIL all the time."""
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def ask_again(task_id: str, seconds: float) -> None:
    """Asks for another attempt, once."""
    if is_first_time(task_id):
        note("due", task_id, later=seconds)
        raise Retry(in_seconds=seconds)


def die(task_id: str, seconds: float) -> None:
    """Takes its process along."""
    os._exit(7)
