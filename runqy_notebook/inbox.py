"""What the worker of this process reported, for whoever waits for it here.

A result that stays in the process needs no storage: the worker's outcome goes straight to the
handles. Outcomes of tasks that nobody holds a handle of (enqueued by redis-cli, say) are kept for a
while, the newest 1,000, values only while they are small.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar, cast

from runqy_notebook.broker.records import Standing
from runqy_notebook.wire.events import LARGEST_RESULT
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome
from runqy_notebook.wire.payload import encode_small

MOST_KEPT = 1_000


class Waiting(Protocol):
    """Somebody who holds a task's handle."""

    id: str
    queue: str

    @property
    def is_done(self) -> bool: ...
    def observe(self, standing: Standing) -> None: ...
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

    def expect(self, *handles: Waiting) -> None:
        """From now on the outcomes of these handles' tasks go to them too. Told before the tasks
        are written, because they may be done before that call returns.
        """
        with self._lock:
            for handle in handles:
                self._add(handle)
                if self._kept and (earlier := self._kept.pop(handle.id, None)):
                    self._earlier[handle] = earlier

    def kept(self, task_id: str) -> Outcome | None:
        """What was reported of a task of which nobody held a handle."""
        return self._kept.get(task_id)

    def take_up(self, handle: Waiting, before: Outcome | None) -> None:
        """Expects the end of a task that a look found unfinished. What was kept `before` that look
        is of an earlier run; what was since is told.
        """
        with self._lock:
            self._add(handle)
            kept = self._kept.pop(handle.id, None)
        if kept is not None and kept is not before:
            handle.report(kept)

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

    def observe(self, standing: Standing) -> None:
        """Takes what was heard of a task that a worker elsewhere finished."""
        with self._lock:
            handles = self._handles(standing.id)
        for handle in handles:
            handle.observe(standing)

    def waits_in(self, queue: str) -> bool:
        """Whether somebody holds the handle of an unfinished task of this queue."""
        with self._lock:
            all_refs = [ref for refs in self._waiting.values() for ref in refs]
        handles = (ref() for ref in all_refs)
        return any(h is not None and h.queue == queue and not h.is_done for h in handles)

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
        refs = self._waiting.setdefault(handle.id, [])
        if refs:
            refs[:] = [ref for ref in refs if ref() is not None]
        refs.append(weakref.ref(handle))

    def _keep(self, outcome: Outcome) -> None:
        if not isinstance(outcome, (Completed, Archived)):
            return
        self._kept.pop(outcome.task.id, None)
        if isinstance(outcome, Archived):
            outcome = replace(outcome, cause=None)  # its traceback holds all the handler had
        elif not (outcome.told or encode_small(outcome.value, LARGEST_RESULT)):
            return
        self._kept[outcome.task.id] = outcome
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
