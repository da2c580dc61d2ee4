"""What the worker of this process reported, for whoever waits for it here.

A result that stays in the process needs no storage: the worker's outcome goes straight to the
handle. Outcomes of tasks that nobody holds a handle of (enqueued by redis-cli, say) are kept for a
while, newest first to stay, values only while they are small.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from runqy_notebook.errors import PayloadError
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome, Retried
from runqy_notebook.wire.payload import encode_value

MOST_KEPT = 1_000
LARGEST_KEPT = 64 * 2**10  # bytes of JSON


class Waiting(Protocol):
    """Somebody who holds a task's handle."""

    id: str

    def report(self, outcome: Outcome) -> None: ...


class Inbox:
    """Outcomes by task id. Threads may share it."""

    def __init__(self) -> None:
        self._waiting: weakref.WeakValueDictionary[str, Waiting] = weakref.WeakValueDictionary()
        self._kept: OrderedDict[str, Outcome] = OrderedDict()
        self._lock = threading.Lock()

    def expect(self, handle: Waiting) -> None:
        """From now on the outcome of this handle's task goes to it; what an earlier task of the
        same id left is dropped.
        """
        with self._lock:
            self._kept.pop(handle.id, None)
            self._waiting[handle.id] = handle

    def handle_of(self, task_id: str) -> Waiting | None:
        """The handle that somebody holds of this task."""
        with self._lock:
            return self._waiting.get(task_id)

    def adopt(self, task_id: str, make: Callable[[], Waiting]) -> Waiting:
        """The handle of this task: the one there is, or a new one, told what is known already."""
        with self._lock:
            handle = self._waiting.get(task_id)
            kept = self._kept.get(task_id)
            if handle is None:
                handle = self._waiting[task_id] = make()
                if kept is not None:
                    handle.report(kept)
            return handle

    def deliver(self, outcome: Outcome) -> None:
        """Takes what the worker reports."""
        with self._lock:
            handle = self._waiting.get(outcome.task.id)
            if handle is None and isinstance(outcome, (Completed, Archived)):
                self._keep(outcome)
        if handle is not None and isinstance(outcome, (Completed, Archived, Retried)):
            handle.report(outcome)

    def _keep(self, outcome: Completed | Archived) -> None:
        if isinstance(outcome, Completed) and not _is_small(outcome.value):
            return
        self._kept[outcome.task.id] = outcome
        self._kept.move_to_end(outcome.task.id)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _is_small(value: object) -> bool:
    try:
        return len(encode_value(value)) <= LARGEST_KEPT
    except PayloadError:
        return False
