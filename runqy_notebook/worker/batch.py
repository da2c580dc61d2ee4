"""Several tasks in one claim, for handlers that take less time than a round trip.

A slot claims as many tasks as it runs in a moment, and writes their outcomes down together. What it
holds is never more than a moment old: when a task turns out slow, `Relief` writes down for the slot
what is done, and gives back what has not begun.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Outcome, Released

WINDOW: Final = 0.02
"""Seconds for which an outcome may wait for others before it is written down."""

MOST: Final = 50
"""Tasks in one claim: a script that takes longer would keep others from the server, and from a core
that they share with it. Twice as many would drain 3 % more a second, and make a cell wait half as
long again that is run meanwhile (docs/performance.md).
"""

LOOK_EVERY: Final = 0.05  # seconds between the looks of the relief; a slow task is seen by the next


_FADES: Final = 0.7  # what is left of how slow tasks were once more have run


class Pace:
    """How many tasks a slot claims at a time: as many as fit into half a window, found by doubling
    while they do. Slow tasks are remembered for a few claims: where some tasks are quick and some
    slow, a quick one says little of the next, and a task is best not claimed before it can run.
    """

    def __init__(self) -> None:
        self.size = 1
        self._each = 0.0  # seconds a task takes

    def ran(self, count: int, seconds: float) -> None:
        """Takes note that so many tasks took so long."""
        if not count:
            return
        self._each = max(seconds / count, self._each * _FADES, 1e-6)
        fitting = int(WINDOW / 2 / self._each)
        self.size = max(1, min(fitting, 2 * self.size if count >= self.size else self.size, MOST))


class Batch:
    """What a slot holds beside the task it runs. Its thread and the relief share it; `relieving` is
    held while the relief gives back.
    """

    def __init__(self) -> None:
        self.relieving = threading.Lock()
        self._ahead: deque[Task] = deque()
        self._done: list[Outcome] = []
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._ahead) + len(self._done)

    @property
    def has_ahead(self) -> bool:
        """Whether there is a task that has not begun."""
        return bool(self._ahead)

    def load(self, tasks: Sequence[Task]) -> None:
        with self._lock:
            self._ahead.extend(tasks)

    def next(self) -> Task | None:
        """The next task to run, taken out."""
        with self._lock:
            return self._ahead.popleft() if self._ahead else None

    def add(self, outcome: Outcome) -> None:
        with self._lock:
            self._done.append(outcome)

    def take_done(self) -> tuple[Outcome, ...]:
        """The outcomes to write down, taken out."""
        with self._lock:
            done, self._done = tuple(self._done), []
        return done

    def finish(self) -> tuple[Outcome, ...]:
        """The outcomes that are left once nothing is ahead. What the relief took is in its queue
        again by then: a claim made sooner would run what comes after it first.
        """
        with self.relieving:
            return self.take_done()

    def leave_out(self, task_id: str) -> None:
        """Gives a task back that has not begun, with the outcomes that are written down next."""
        with self._lock:
            left_out = [task for task in self._ahead if task.id == task_id]
            self._ahead = deque(task for task in self._ahead if task.id != task_id)
            self._done += map(Released, left_out)

    def take_all(self) -> tuple[Outcome, ...]:
        """These, and a release of each task that has not begun: the last one first, so that the
        first is in front of the queue again.
        """
        with self._lock:
            ahead, self._ahead = reversed(self._ahead), deque()
            done, self._done = self._done, []
        return (*done, *map(Released, ahead))


class Holder(Protocol):
    """A slot, as far as it concerns the relief."""

    number: int
    batch: Batch

    @property
    def busy_since(self) -> float | None: ...


class Relief:
    """Sees to it that nothing waits for a slow task of the same batch. One thread; it sleeps while
    there are no batches.
    """

    def __init__(
        self,
        holders: Callable[[], Iterable[Holder]],
        settle: Callable[[str, tuple[Outcome, ...]], object],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._holders = holders
        self._settle = settle
        self._on_fault = on_fault
        self._watching = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="runqy-relief", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def watch(self) -> None:
        """A slot has a batch now."""
        if not self._watching.is_set():
            self._watching.set()

    def stop(self, seconds: float) -> None:
        """Ends the thread, waiting at most so long for it."""
        self._stopping.set()
        self._watching.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def look(self, now: float) -> bool:
        """Relieves the slots that are busy for too long; whether there are batches left."""
        is_any = False
        for holder in self._holders():
            since = holder.busy_since
            if not len(holder.batch):
                continue
            is_any = True
            if since is not None and now - since >= LOOK_EVERY:
                with holder.batch.relieving:
                    if held := holder.batch.take_all():
                        self._settle("relief", held)
        return is_any

    def _live(self) -> None:
        while not self._stopping.is_set():
            self._watching.wait()
            self._watching.clear()
            try:
                while not self._stopping.wait(LOOK_EVERY) and self.look(time.monotonic()):
                    pass
            except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
                self._on_fault(error)
