"""What surrounds every run of a handler: its current task and its report."""

from __future__ import annotations

from collections.abc import Callable

from runqy_notebook.running import CURRENT, CurrentTask
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.reporter import Reporter


class Handling:
    """Entered by a slot for each of its tasks."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def of(self, task: Task, is_cancelled: Callable[[], bool]) -> Surroundings:
        """The time of one handler; what it said is told when this ends."""
        report = self._reporter.of(task)
        current = CurrentTask(task, report, is_cancelled)
        return Surroundings(current, lambda: self._reporter.finish(report))


class Surroundings:
    """A class, as a generator for `contextmanager` costs each task a microsecond more."""

    __slots__ = ("_finish", "_task", "_token")

    def __init__(self, task: CurrentTask, finish: Callable[[], None]) -> None:
        self._task = task
        self._finish = finish

    def __enter__(self) -> None:
        self._token = CURRENT.set(self._task)

    def __exit__(self, *exc_info: object) -> None:
        CURRENT.reset(self._token)
        self._finish()
