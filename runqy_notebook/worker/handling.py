"""What surrounds every run of a handler: its current task and its report."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from runqy_notebook.running import CURRENT, CurrentTask
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.reporter import Reporter, TaskReport


class Handling:
    """Entered by a slot for each of its tasks."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter

    def of(self, task: Task, is_cancelled: Callable[[], bool]) -> Surroundings:
        """The time of one handler; what it said is told when this ends."""
        return Surroundings(self._reporter, task, is_cancelled)


class Surroundings:
    """Those of one run. What the handler says comes here: most handlers never say anything, so that
    the report is made at the first word.

    A class, as a generator for `contextmanager` costs each task a microsecond more.
    """

    __slots__ = ("_current", "_made", "_reporter", "_task", "_token")

    def __init__(self, reporter: Reporter, task: Task, is_cancelled: Callable[[], bool]) -> None:
        self._current = CurrentTask(task, self, is_cancelled)
        self._reporter, self._task = reporter, task
        self._made: TaskReport | None = None

    def __enter__(self) -> None:
        self._token = CURRENT.set(self._current)

    def __exit__(self, *exc_info: object) -> None:
        CURRENT.reset(self._token)
        del self._current  # it refers to us: the collector would have to find out
        if self._made is not None:
            self._reporter.finish(self._made)

    def write(self, stream: str, text: str) -> None:
        self._report().write(stream, text)

    def progress(self, done: float, total: float, note: str) -> None:
        self._report().progress(done, total, note)

    def show(self, data: Mapping[str, str], display_id: str = "") -> None:
        self._report().show(data, display_id)

    def _report(self) -> TaskReport:
        made = self._made
        if made is None:
            made = self._reporter.of(self._task)  # not within the lock: a finalizer may print now
            with self._reporter.making:  # threads of one handler have one report
                made = self._made = self._made or made
        return made
