"""What surrounds every run of a handler: its current task, its report, the switch interval."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

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

    def of(self, task: Task, is_cancelled: Callable[[], bool]) -> Surroundings:
        """The time of one handler; what it said is told when this ends."""
        report = self._reporter.of(task)
        current = CurrentTask(task, report, is_cancelled)
        return Surroundings(current, self._switch_interval, lambda: self._reporter.finish(report))


class Surroundings:
    """A class, as a generator for `contextmanager` costs each task a microsecond more."""

    __slots__ = ("_finish", "_switch_interval", "_task", "_token")

    def __init__(
        self, task: CurrentTask, switch_interval: float, finish: Callable[[], None]
    ) -> None:
        self._task = task
        self._switch_interval = switch_interval
        self._finish = finish

    def __enter__(self) -> None:
        self._token = CURRENT.set(self._task)
        INTERVAL.start(self._switch_interval)

    def __exit__(self, *exc_info: object) -> None:
        INTERVAL.stop()
        CURRENT.reset(self._token)
        self._finish()


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
