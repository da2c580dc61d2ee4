"""What the worker of this process reported, for whoever waits for it here.

A result that stays in the process needs no storage: the worker's outcome goes straight to the
handles. Outcomes of tasks that nobody holds a handle of (enqueued by redis-cli, say) are kept for a
while, the newest 1,000, values only while they are small.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Protocol, TypeVar, cast

from runqy_notebook.wire.outcomes import Archived, Completed, Outcome
from runqy_notebook.wire.payload import encode_value

MOST_KEPT = 1_000
LARGEST_KEPT = 64 * 2**10  # bytes of JSON


class Waiting(Protocol):
    """Somebody who holds a task's handle."""

    id: str

    def report(self, outcome: Outcome) -> None: ...


W = TypeVar("W", bound=Waiting)


class Inbox:
    """Outcomes by task id. Threads may share it; handles that nobody holds are forgotten."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[weakref.ref[Waiting]]] = {}
        self._kept: OrderedDict[str, Outcome] = OrderedDict()
        self._earlier: weakref.WeakKeyDictionary[Waiting, Outcome] = weakref.WeakKeyDictionary()
        self._prune_at = MOST_KEPT
        self._lock = threading.Lock()

    def expect(self, handle: Waiting) -> None:
        """From now on the outcome of this handle's task goes to it too. Told before the task is
        written, because it may be done before that call returns.
        """
        with self._lock:
            self._add(handle)
            if earlier := self._kept.pop(handle.id, None):
                self._earlier[handle] = earlier

    def same(self, handle: W) -> W:
        """For an expected task that turned out to exist already: the handle held of it before, or
        this one, told what was kept.
        """
        with self._lock:
            handles = self._handles(handle.id)
            at = handles.index(handle)
            earlier = self._earlier.pop(handle, None)
        if at:
            return cast(W, handles[at - 1])
        if earlier is not None:
            handle.report(earlier)
        return handle

    def handle_of(self, task_id: str) -> Waiting | None:
        """The latest handle that somebody holds of this task."""
        with self._lock:
            return next(reversed(self._handles(task_id)), None)

    def adopt(self, task_id: str, make: Callable[[], Waiting]) -> Waiting:
        """The handle of this task: the one there is, or a new one, told what is known already."""
        with self._lock:
            if handles := self._handles(task_id):
                return handles[-1]
            handle, kept = make(), self._kept.get(task_id)
            self._add(handle)
        if kept is not None:
            handle.report(kept)
        return handle

    def deliver(self, outcome: Outcome) -> None:
        """Takes what the worker reports."""
        with self._lock:
            handles = self._handles(outcome.task.id)
            if not handles:
                self._keep(outcome)
        for handle in handles:
            handle.report(outcome)

    def _handles(self, task_id: str) -> list[Waiting]:
        refs = self._waiting.get(task_id, ())
        return [handle for ref in refs if (handle := ref()) is not None]

    def _add(self, handle: Waiting) -> None:
        if len(self._waiting) >= self._prune_at:
            self._waiting = {
                task_id: alive
                for task_id, refs in self._waiting.items()
                if (alive := [ref for ref in refs if ref() is not None])
            }
            self._prune_at = max(MOST_KEPT, 2 * len(self._waiting))
        alive = [weakref.ref(each) for each in self._handles(handle.id)]
        self._waiting[handle.id] = [*alive, weakref.ref(handle)]

    def _keep(self, outcome: Outcome) -> None:
        if not isinstance(outcome, (Completed, Archived)):
            return
        self._kept.pop(outcome.task.id, None)
        if isinstance(outcome, Archived):
            outcome = replace(outcome, cause=None)  # its traceback holds all the handler had
        elif not _is_small(outcome.value):
            return
        self._kept[outcome.task.id] = outcome
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)


def _is_small(value: object) -> bool:
    """Whether the value is at most LARGEST_KEPT as JSON; what is clearly larger is not encoded."""
    left, inside = 4 * LARGEST_KEPT, [value]  # the same takes more in memory
    try:
        while inside and left > 0:
            each = inside.pop()
            left -= sys.getsizeof(each)
            if isinstance(each, Mapping):
                inside += each.values()
            elif isinstance(each, (list, tuple, set, frozenset)):
                inside += each
        return left > 0 and len(encode_value(value)) <= LARGEST_KEPT
    except Exception:  # noqa: BLE001 - a handler's value may run any code, or be no JSON
        return False
