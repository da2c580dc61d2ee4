"""Every error that a person may see, each one sentence: what happened, to what, what to do.

RunqyError
├── SettingsError            a setting that cannot be used
├── ConnectionFailedError    Redis did not let us in, or went away
├── EmbeddedServerError      no server could be started here
├── QueueNameError           a queue name outside the wire format
├── UnknownQueueError        nobody has used this queue
├── UnknownTaskError         no task of this id
├── TaskConflictError        the id belongs to an unfinished task
├── TaskStateError           what is asked cannot be done to a task in its state
├── PayloadError             a payload that is not a JSON object
├── HandlerError             a function that cannot be a handler, or none to run
├── LoadError                the @load function raised; the worker did not start
├── TaskFailedError          the awaited task was archived
├── RowFailedError           a row of a mapped frame has no result
├── WaitTimeoutError         the awaited task is not done yet
├── ResultNotStoredError     the task is done, its result was neither stored nor kept
├── DestinationError         a result cannot be delivered there
├── LessonError              a lesson that cannot be given, or a fault that cannot be made
└── UsageError               an option or a magic that makes no sense

RunqyNotice                  a warning: it works, but perhaps not as meant

In a cell a RunqyError is one line (IPython asks `_render_traceback_`); in plain Python it is
an exception like any other.
"""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any


def one_line(text: object, limit: int = 300) -> str:
    """`text` on one line, control characters dropped, cut at `limit` characters."""
    flat = " ".join(str(text).split())
    flat = "".join(char for char in flat if char.isprintable())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the known word nearest to `word`, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f" Did you mean {near[0]!r}?" if near else ""


class RunqyNotice(UserWarning):
    """Something that works, but perhaps not as meant."""


def tell(text: str) -> None:
    """Warns with a RunqyNotice that points to the line, outside this package, that led here."""
    frame, level = sys._getframe(), 1
    while frame.f_back and str(frame.f_globals.get("__name__")).startswith("runqy_notebook."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, RunqyNotice, stacklevel=level)


class RunqyError(Exception):
    """The base of all errors of this package."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
        # The constructors take facts, not the sentence that pickle would hand them.
        return _remade, (type(self), self.args), self.__dict__


def _remade(kind: type[RunqyError], args: tuple[object, ...]) -> RunqyError:
    error = kind.__new__(kind)
    error.args = args
    return error


class SettingsError(RunqyError):
    """A setting has a name or a value that cannot be used."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class ConnectionFailedError(RunqyError):
    """Redis refused us, or went away; `cause` says why and `remedy` what to do.

    `is_refusal`: it is there and refused a command, so that others may well succeed. `is_away`:
    nobody is there, or it is just starting, so that asking again soon bothers nobody.
    """

    def __init__(
        self,
        where: str,
        cause: str,
        remedy: str,
        *,
        is_refusal: bool = False,
        is_away: bool = False,
    ) -> None:
        self.where, self.cause, self.remedy = where, cause, remedy
        self.is_refusal, self.is_away = is_refusal, is_away
        super().__init__(f"{where}: {cause}. {remedy}")


class EmbeddedServerError(RunqyError):
    """No embedded server could be started or reached."""

    def __init__(self, cause: str, remedy: str) -> None:
        self.cause, self.remedy = cause, remedy
        super().__init__(f"No embedded server: {cause}. {remedy}")


class QueueNameError(RunqyError):
    """A queue name that other workers could not read."""

    def __init__(self, name: object, problem: str) -> None:
        self.name, self.problem = name, problem
        super().__init__(f"{one_line(repr(name), 80)} is not a queue name: {problem}.")


class UnknownQueueError(RunqyError):
    """A queue that nobody enqueued to and nobody serves."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        self.name, self.known = name, sorted(known)
        listed = ", ".join(self.known[:20]) or "none yet"
        more = f" and {len(self.known) - 20} more" if len(self.known) > 20 else ""
        hint = did_you_mean(name, self.known)
        super().__init__(f"No queue {name!r} in this Redis. Known queues: {listed}{more}.{hint}")


class UnknownTaskError(RunqyError):
    """A task id that Redis does not hold (any more)."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(
            f"No task {one_line(task_id, 80)!r} in this Redis: never enqueued here, deleted, "
            "or finished so long ago that its record has expired."
        )


class TaskConflictError(RunqyError):
    """The id given for a new task belongs to a task that is not finished."""

    def __init__(self, task_id: str, state: str) -> None:
        self.task_id, self.state = task_id, state
        super().__init__(
            f"Task {one_line(task_id, 80)!r} already exists and is {state}. Wait for it, or give "
            "another id; unique=True (--unique) gives you the existing task back instead."
        )


class TaskStateError(RunqyError):
    """What is asked cannot be done to the task in the state it is in."""

    def __init__(self, task_id: str, problem: str) -> None:
        self.task_id, self.problem = task_id, problem
        super().__init__(f"Task {one_line(task_id, 80)!r} {problem}")


class PayloadError(RunqyError):
    """A payload that cannot travel as a JSON object; `path` is where it broke."""

    def __init__(self, path: str, problem: str) -> None:
        self.path, self.problem = path, problem
        super().__init__(f"{path}: {problem}.")


class HandlerError(RunqyError):
    """A function that cannot serve as a handler, or no handler where one is needed."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class _UserCodeError(RunqyError):
    """An error caused by the user's own code, whose traceback is shown in full."""

    traceback_text: str = ""

    def _render_traceback_(self) -> list[str]:
        return [*self.traceback_text.rstrip().splitlines(), *super()._render_traceback_()]


class LoadError(_UserCodeError):
    """The @load function raised, so the worker did not start."""

    def __init__(self, loader: str, cause: BaseException, traceback_text: str) -> None:
        self.loader, self.cause, self.traceback_text = loader, cause, traceback_text
        super().__init__(
            f"The @load function {loader!r} raised {_named(cause)}; the worker did not start. "
            "Mend the function, define it again and start the worker again."
        )


def _named(cause: BaseException) -> str:
    """The type of `cause` and what it says, if its `__str__` works."""
    try:
        said = one_line(cause)
    except Exception:  # noqa: BLE001 - the user's __str__
        said = ""
    return f"{type(cause).__name__} ({said})" if said else type(cause).__name__


class TaskFailedError(_UserCodeError):
    """The task was archived: its handler failed for the last time, or it was cancelled."""

    def __init__(self, task_id: str, queue: str, error: str, traceback_text: str = "") -> None:
        self.task_id, self.queue, self.error = task_id, queue, error
        self.traceback_text = traceback_text
        super().__init__(
            f"Task {one_line(task_id, 80)!r} in {queue} was cancelled."
            if error == "cancelled"
            else f"Task {one_line(task_id, 80)!r} in {queue} failed and is archived: "
            f"{one_line(error)}"
        )


class RowFailedError(_UserCodeError):
    """A row of a mapped frame has no result; `failure` is why. What was sent goes on."""

    def __init__(self, row: str, position: int, failure: RunqyError) -> None:
        self.position, self.failure = position, failure
        self.traceback_text = getattr(failure, "traceback_text", "")
        why = one_line(getattr(failure, "error", failure)).rstrip(".")
        super().__init__(
            f"The map stopped at {row}: {why}. Map again to take up where it was, or with "
            'errors="column" to have all rows done.'
        )


class WaitTimeoutError(RunqyError, TimeoutError):
    """The task was not done in the time given to wait; it goes on regardless."""

    def __init__(
        self, task_id: str, seconds: float, state: str, remedy: str, error: str | None = None
    ) -> None:
        self.task_id, self.seconds, self.state, self.error = task_id, seconds, state, error
        last = f" (the last attempt failed: {one_line(error, 160)})" if error else ""
        super().__init__(
            f"Task {one_line(task_id, 80)!r} is still {_UNDER_WAY.get(state, state)} after "
            f"{seconds:g} s{last}. {remedy}"
        )


_UNDER_WAY = {"retry": "waiting for another attempt"}


class ResultNotStoredError(RunqyError):
    """The task is completed, but its result was neither stored in Redis nor kept here."""

    def __init__(self, task_id: str) -> None:
        self.task_id = task_id
        super().__init__(
            f"Task {one_line(task_id, 80)!r} is completed, but its result was neither stored nor "
            "kept by this kernel. Enqueue with store=True (--store), start the worker with "
            "store_results=True (--store-results), or let the handler deliver it."
        )


class DestinationError(RunqyError):
    """A place to which no result is sent; `problem` says why, without a secret of its URL."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        end = "" if problem.endswith("?") else "."
        super().__init__(f"Nothing is delivered there: {problem}{end}")


class LessonError(RunqyError):
    """A lesson cannot be given here, or not go on."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        super().__init__(problem)


class UsageError(RunqyError):
    """An option or a magic was given in a way that makes no sense."""
