"""What surrounds every run of a handler: its current task, its report, the switch interval."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runqy_notebook.running import CURRENT, CurrentTask
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.reporter import Reporter


class Handling:
    """Entered by a slot for each of its tasks. `switch_interval` is in seconds; 0 leaves Python's
    own in force.
    """

    def __init__(self, reporter: Reporter, switch_interval: float) -> None:
        self._reporter = reporter
        self._switch_interval = switch_interval

    @contextmanager
    def of(self, task: Task, is_cancelled: Callable[[], bool]) -> Iterator[None]:
        """The time of one handler; what it said is told when this ends."""
        report = self._reporter.of(task)
        token = CURRENT.set(CurrentTask(task, report, is_cancelled))
        INTERVAL.start(self._switch_interval)
        try:
            yield
        finally:
            INTERVAL.stop()
            CURRENT.reset(token)
            self._reporter.finish(report)


class SwitchInterval:
    """How long a thread may keep the others waiting, made shorter while handlers run.

    With Python's own 5 ms a cell waits for that long each time that it comes back from a socket,
    and a cell does so some ten times, while a handler computes. At 0.5 ms the switches cost the
    handler a few per cent.
    """

    def __init__(self) -> None:
        self._before = self._set = 0.0
        self._users = 0
        self._lock = threading.Lock()

    def start(self, seconds: float) -> None:
        """A handler begins; the first one sets the interval, unless it is that short already."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = sys.getswitchinterval()
                if 0 < seconds < self._before:
                    sys.setswitchinterval(seconds)
                self._set = sys.getswitchinterval()

    def stop(self) -> None:
        """A handler ended; after the last one all is as before, unless somebody else set it."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and sys.getswitchinterval() == self._set:
                sys.setswitchinterval(self._before)


INTERVAL = SwitchInterval()
"""The one of this process."""
