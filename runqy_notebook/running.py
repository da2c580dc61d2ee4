"""`current_task()`: what a handler asks and tells about the task that it is running."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cached_property
from numbers import Real
from typing import Any, Protocol

from runqy_notebook.errors import RunqyError, UsageError, one_line
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.payload import decode_payload

LONGEST_NOTE = 200  # characters


class NoTaskError(RunqyError):
    """`current_task()` was called where no handler runs."""

    def __init__(self) -> None:
        super().__init__(
            "current_task() is for handlers: no task is running here. A thread that a library "
            "started needs contextvars.copy_context().run(...) to know the task of its handler."
        )


class CancelledTaskError(Exception):
    """Raised by `current_task().check()`: the task was cancelled or taken away."""


class Report(Protocol):
    """Where goes what a handler says."""

    def write(self, stream: str, text: str) -> None:
        """Text as it was printed, to "stdout", "stderr" or "log"."""

    def progress(self, done: float, total: float, note: str) -> None: ...

    def show(self, data: Mapping[str, str], display_id: str = "") -> None:
        """Something displayed, by mime type; images as base64 text, JSON as its text. A later one
        of the same id takes its place.
        """


class CurrentTask:
    """The task that a handler is running, as the handler sees it. Its threads may share it."""

    def __init__(
        self, task: Task, report: Report | None, is_cancelled: Callable[[], bool] = lambda: False
    ) -> None:
        self.report = report  # None: it runs inline, and says things where the caller does
        self._task = task
        self._is_cancelled = is_cancelled

    @property
    def id(self) -> str:
        return self._task.id

    @property
    def queue(self) -> str:
        return self._task.queue

    @property
    def type(self) -> str:
        return self._task.type

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        return self._task.retry + 1

    @property
    def attempts(self) -> int:
        """How many attempts there may be in all."""
        return self._task.max_retry + 1

    @cached_property
    def payload(self) -> Any:
        """The payload as it was sent; a copy of what the handler was given."""
        return decode_payload(self._task.payload, self._task.id)

    @property
    def cancelled(self) -> bool:
        """Whether what the handler still does is in vain or unwanted: its task was cancelled or
        taken away, or its worker was asked to stop.
        """
        return self._is_cancelled()

    def check(self) -> None:
        """Raises CancelledTaskError once `cancelled`."""
        if self.cancelled:
            raise CancelledTaskError("the task was cancelled or taken away")

    def progress(self, done: float, total: float | None = None, note: str = "") -> None:
        """Tells that `done` of `total` is done, with a word on what; raises UsageError."""
        amount = _amount("done", done)
        of = 0.0 if total is None else _amount("total", total)
        if not isinstance(note, str):
            raise UsageError(f"progress: note is text, not {one_line(repr(note), 80)}.")
        if self.report is not None:
            self.report.progress(amount, of, one_line(note, LONGEST_NOTE))
        else:
            print(
                f"{amount:g}{f' of {of:g}' if of else ''} {one_line(note, LONGEST_NOTE)}".rstrip()
            )

    def log(self, *values: object) -> None:
        """Adds a line to the task's log: `print`, whatever stdout is."""
        line = " ".join(map(str, values))
        if self.report is not None:
            self.report.write("log", line + "\n")
        else:
            print(line)

    def __repr__(self) -> str:
        name = one_line(self.id, 80)
        return f"<CurrentTask {name} in {self.queue}, attempt {self.attempt} of {self.attempts}>"


CURRENT: ContextVar[CurrentTask | None] = ContextVar("runqy_current_task", default=None)
"""The task of the code that looks. Coroutines and `asyncio.to_thread` inherit it."""


def current_task() -> CurrentTask:
    """The task that the calling handler runs; raises NoTaskError outside one."""
    task = CURRENT.get()
    if task is None:
        raise NoTaskError
    return task


def reporting_task() -> CurrentTask | None:
    """The task that what is printed here belongs to; None outside handlers, and inline."""
    task = CURRENT.get()
    return task if task is not None and task.report is not None else None


def _amount(name: str, value: object) -> float:
    """A number from 0; raises UsageError."""
    shown = one_line(repr(value), 80)
    try:
        if isinstance(value, bool) or not (isinstance(value, Real) or hasattr(value, "__float__")):
            raise TypeError
        amount = float(value)
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"progress: {name} is a number, not {shown}.") from None
    if not math.isfinite(amount) or amount < 0:
        raise UsageError(f"progress: {name} is a number from 0, not {shown}.")
    return amount
