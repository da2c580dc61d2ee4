"""Ending running tasks that somebody cancelled."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from runqy_notebook.errors import one_line
from runqy_notebook.wire.outcomes import CANCELLED, Archived
from runqy_notebook.worker.leash import Ending

if TYPE_CHECKING:
    from runqy_notebook.worker.slots import Running
    from runqy_notebook.worker.worker import Worker

HURRY = 1.0  # seconds


class Cancelling:
    """The cancelled tasks of one worker. A handler is told by an event; when the time of grace is
    over the task is taken from it, and a fresh slot takes its place.

    The mark in a task's hash is what counts; renewals bring it. A message, which anybody may have
    sent, only has the next renewal come at once.
    """

    def __init__(self, worker: Worker, notice: Callable[[str], None]) -> None:
        self._worker = worker
        self._notice = notice
        self._ends: dict[bytes, float] = {}  # token -> when its time of grace is over
        self._hurries_until = 0.0
        self._lock = threading.Lock()

    def hurry(self) -> None:
        """Has the marks of the running tasks looked at in the next moments, several times: a task
        may have been claimed that its slot does not run yet.
        """
        self._hurries_until = time.monotonic() + HURRY

    def is_hurried(self, now: float) -> bool:
        """Whether the marks are to be looked at now."""
        return now < self._hurries_until

    def ask(self, task_id: str) -> None:
        """Tells the handler of this task, which is marked, if it runs here."""
        self.hurry()
        for slot, running in self._worker.held():
            slot.batch.leave_out(task_id)  # what is given back marked is cancelled
            if running.task.id == task_id:
                self.mark(running)

    def mark(self, running: Running) -> None:
        """Tells the handler of this run, whose task is marked; once is enough."""
        grace = self._worker.settings.cancel_grace
        with self._lock:
            self._ends.setdefault(running.task.token, time.monotonic() + grace)
        running.leash.pull(Ending.CANCELLED)

    def end_late(self, now: float) -> None:
        """Takes the tasks from handlers that did not end in time."""
        held = self._worker.held()
        with self._lock:
            tokens = {running.task.token for _, running in held}
            self._ends = {token: end for token, end in self._ends.items() if token in tokens}
            ends = dict(self._ends)
        for slot, running in held:
            if slot.place is not None or running.task.is_suspect:
                continue  # where it runs, it is ended
            if now < ends.get(running.task.token, float("inf")) or slot.running is not running:
                continue
            outcome = Archived(running.task, CANCELLED)
            answer = self._worker.settler.settle_once("keeper", outcome)
            if slot.running is not running:
                continue  # it came to its end just now
            self._worker.replace(slot)
            if answer == "CANCELLED":
                self._notice(
                    f"Task {one_line(running.task.id, 80)} is cancelled, but its handler has not "
                    "ended: it still runs in the background; its result will be dropped. Handlers "
                    "end sooner that look at current_task().cancelled."
                )
