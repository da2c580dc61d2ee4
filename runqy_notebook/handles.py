"""Handles: what `enqueue` gives back, to ask for a task's state and wait for its result.

A handle learns of its task's end from the worker of this process, which costs nothing, or by
looking into Redis now and then, for the sake of workers elsewhere (see `waiting`).
"""

from __future__ import annotations

import reprlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, overload

from runqy_notebook.arriving import AsCompleted
from runqy_notebook.broker.records import Standing
from runqy_notebook.errors import (
    PayloadError,
    ResultNotStoredError,
    RunqyError,
    TaskFailedError,
    UnknownTaskError,
    WaitTimeoutError,
    one_line,
)
from runqy_notebook.waiting import SETTLED_AFTER, Source
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome
from runqy_notebook.wire.payload import decode
from runqy_notebook.wire.states import State

__all__ = ["Source", "TaskGroup", "TaskHandle"]


_ENDING = threading.Lock()  # one for all: held for three assignments, and handles are many


class TaskHandle:
    """One task. `await t` or `t.result(timeout=10)` gives its value.

    `result` raises TaskFailedError when the task was archived, WaitTimeoutError when it is not
    done in time, ResultNotStoredError when it is done but nobody kept its result. Waiting changes
    nothing: the task goes on whether somebody waits or not.
    """

    __slots__ = (
        "__weakref__",
        "_callbacks",
        "_failure",
        "_source",
        "_state",
        "_value",
        "_without_result_since",
        "id",
        "queue",
    )

    def __init__(self, task_id: str, queue: str, source: Source) -> None:
        self.id = task_id
        self.queue = queue
        self._source = source
        self._value: object = None
        self._failure: RunqyError | None = None
        self._state: State | None = None  # once finished
        self._without_result_since: float | None = None  # by the monotonic clock
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_done(self) -> bool:
        """Whether the end of the task is known here; no round trip."""
        return self._state is not None or self._failure is not None

    @property
    def ended_in(self) -> State | None:
        """The state in which the task ended; None while it is not done, and where it is gone."""
        return self._state

    @property
    def state(self) -> str:
        """The task's state now: pending, active, scheduled, retry, completed or archived; "gone"
        where Redis has no record of it (any more).
        """
        if self._state is not None:
            return self._state.value
        state = self._look().state
        return state.value if state else "gone"

    @property
    def error(self) -> str | None:
        """The error of the last attempt, if it failed."""
        if isinstance(self._failure, TaskFailedError):
            return self._failure.error
        if self.is_done:
            return None
        standing = self._look()
        return None if standing.state is State.COMPLETED else standing.error

    def wait(self, timeout: float | None = None) -> TaskHandle:
        """Waits until the task is done, for at most `timeout` seconds; raises WaitTimeoutError."""
        if self._source.wait([self], timeout):
            raise self._timed_out(timeout)
        return self

    def result(self, timeout: float | None = None) -> Any:
        """What the handler returned; see the class for what it raises."""
        self.wait(timeout)
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return self._value

    def rerun_inline(self) -> Any:
        """Runs the handler on this task's payload here and now, in the calling thread, and gives
        its value. What it raises is raised as it is: `%debug` then looks into the handler's own
        frames. The task itself stays as it is, and what the handler does is done once more.
        """
        return self._source.hands.rerun_inline(self.id)

    def __await__(self) -> Generator[Any, None, Any]:
        yield from self._source.wait_async([self]).__await__()
        return self.result()

    def cancel(self) -> str:
        """Has the task never run, or end; see `Session.cancel`."""
        return self._source.hands.cancel(self.id)

    def retry(self) -> TaskHandle:
        """Makes the task the next one to run, once more if it was finished. Gives the handle of
        that run; see `Session.run_now`.
        """
        again: TaskHandle = self._source.hands.run_now(self.id)
        return again

    def delete(self) -> None:
        """Removes the task, its record and its result; see `Session.delete`."""
        self._source.hands.delete(self.id)

    def pause_queue(self) -> None:
        """Has nothing more claimed from the task's queue; see `Session.pause_queue`."""
        self._source.hands.pause_queue(self.queue)

    def resume_queue(self) -> None:
        """Has the task's queue claimed from again; see `Session.resume_queue`."""
        self._source.hands.resume_queue(self.queue)

    def __repr__(self) -> str:
        try:
            state = self.state
            if self._state is State.COMPLETED and self._failure is None:
                state = f"completed -> {_shown(self._value)}"
            elif state in (State.ARCHIVED, State.RETRY):
                state = f"{state}: {one_line(self.error or 'no reason was recorded', 160)}"
        except RunqyError as error:
            state = one_line(error)
        return f"<Task {one_line(self.id, 80)} in {self.queue}: {state}>"

    def is_of(self, source: Source) -> bool:
        """Whether that is where it looks: the source of the session that made it."""
        return self._source is source

    # --- what becomes known -----------------------------------------------------------------

    def report(self, outcome: Outcome) -> None:
        """Takes an outcome that a worker of this process wrote down."""
        if isinstance(outcome, Completed):
            self._finish(State.COMPLETED, outcome.value)
        elif isinstance(outcome, Archived):
            queue, error = outcome.task.queue, outcome.error
            failure = TaskFailedError(self.id, queue, error, outcome.traceback_text)
            failure.__cause__ = outcome.cause
            self._finish(State.ARCHIVED, failure=failure)

    def observe(self, standing: Standing) -> None:
        """Takes what Redis says about the task."""
        if self._source.is_ending(self.id) or self.is_done:  # in this order: one follows the other
            return
        if standing.state is State.ARCHIVED:
            error = standing.error or "no reason was recorded"
            self._finish(State.ARCHIVED, failure=TaskFailedError(self.id, self.queue, error))
        elif standing.state not in (State.COMPLETED, None):
            self._without_result_since = None
        elif standing.result is not None:
            self._finish_with(standing.result)
        elif self._without_result_since is None:
            self._without_result_since = time.monotonic()
        elif time.monotonic() - self._without_result_since >= SETTLED_AFTER:
            is_gone = standing.state is None
            failure = UnknownTaskError(self.id) if is_gone else ResultNotStoredError(self.id)
            self._finish(standing.state, failure=failure)

    @property
    def is_without_result(self) -> bool:
        """Whether the last look found a completed task, or none, and no result."""
        return self._without_result_since is not None and not self.is_done

    def when_done(self, callback: Callable[[], None]) -> None:
        """Calls back, on whatever thread, once the task's end is known."""
        self._callbacks.append(callback)
        if self.is_done:
            self._call_back()

    def forget(self, callback: Callable[[], None]) -> None:
        """Does not call that back any more."""
        try:
            self._callbacks.remove(callback)
        except ValueError:
            return

    def _look(self) -> Standing:
        (standing,) = self._source.standings([self.id])
        return standing

    def _timed_out(self, timeout: float | None) -> WaitTimeoutError:
        standing = self._look()
        state = standing.state.value if standing.state else "gone"
        error = standing.error if standing.state is State.RETRY else None
        return WaitTimeoutError(
            self.id, timeout or 0, state, self._source.remedy(self.queue, self.id), error
        )

    def _finish_with(self, result: bytes) -> None:
        try:
            self._finish(State.COMPLETED, decode(result))
        except PayloadError as error:
            self._finish(State.COMPLETED, failure=PayloadError("result", error.problem))

    def _finish(
        self, state: State | None, value: object = None, failure: RunqyError | None = None
    ) -> None:
        """The first who knows the end is believed, unless he only missed the result."""
        with _ENDING:
            if self.is_done and not isinstance(
                self._failure, (ResultNotStoredError, UnknownTaskError)
            ):
                return
            self._value, self._failure, self._state = value, failure, state
        self._call_back()

    def _call_back(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.pop()
            except IndexError:  # another thread took it
                return
            callback()


_REPR = reprlib.Repr()
_REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = 8
_REPR.maxstring = _REPR.maxother = 60


def _shown(value: object) -> str:
    """The start of a value's repr on one line, whatever its `__repr__` does."""
    try:
        return one_line(_REPR.repr(value), 80)
    except Exception:  # noqa: BLE001 - the user's __repr__
        return f"a {type(value).__name__}"


class TaskGroup(Sequence[TaskHandle]):
    """The handles of one `enqueue_many`, in the order of its payloads."""

    def __init__(self, handles: Sequence[TaskHandle], source: Source) -> None:
        self._handles = list(handles)
        self._source = source

    @overload
    def __getitem__(self, index: int) -> TaskHandle: ...
    @overload
    def __getitem__(self, index: slice) -> TaskGroup: ...
    def __getitem__(self, index: int | slice) -> TaskHandle | TaskGroup:
        if isinstance(index, slice):
            return TaskGroup(self._handles[index], self._source)
        return self._handles[index]

    def __len__(self) -> int:
        return len(self._handles)

    def __iter__(self) -> Iterator[TaskHandle]:
        return iter(self._handles)

    def __add__(self, other: Sequence[TaskHandle]) -> TaskGroup:
        return TaskGroup([*self._handles, *other], self._source)

    def is_of(self, source: Source) -> bool:
        """Whether that is where its handles look."""
        return self._source is source

    @property
    def ids(self) -> list[str]:
        """The task ids, in order."""
        return [handle.id for handle in self._handles]

    def states(self) -> dict[str, int]:
        """How many tasks are in each state now."""
        counts = Counter(h._state.value for h in self._handles if h._state is not None)
        unfinished = [handle.id for handle in self._handles if handle._state is None]
        counts.update(
            standing.state.value if standing.state else "gone"
            for standing in self._source.standings(unfinished)
        )
        return dict(counts)

    def wait(self, timeout: float | None = None) -> TaskGroup:
        """Waits until every task is done, for at most `timeout` seconds in all; raises
        WaitTimeoutError for the first that is not.
        """
        late = self._source.wait(self._handles, timeout)
        if late is not None:
            raise next(h for h in self._handles if h is late)._timed_out(timeout)
        return self

    def results(self, timeout: float | None = None, *, errors: str = "raise") -> list[Any]:
        """The results in order. `errors="return"` puts the exception in a failed task's place
        instead of raising the first one.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f'errors is "raise" or "return", not {errors!r}')
        self.wait(timeout)
        return [h._failure if h._failure and errors == "return" else h.result() for h in self]

    def as_completed(self, timeout: float | None = None) -> AsCompleted[TaskHandle]:
        """The handles in the order in which their tasks are done or have failed, for `for` and
        `async for`; raises WaitTimeoutError where not all are done within `timeout` seconds.
        """
        return AsCompleted(self, self._source, timeout, lambda late: late._timed_out(timeout))

    def cancel(self) -> dict[str, int]:
        """Cancels every task that is not finished: how many are "cancelled" now, are "cancelling"
        since they run, and are "left" (finished already, or in a foreign worker).
        """
        unfinished = [handle.id for handle in self._handles if not handle.is_done]
        words = self._source.hands.cancel_many(unfinished).values()
        counts = Counter(word if isinstance(word, str) else "left" for word in words)
        counts["left"] += len(self._handles) - len(unfinished)
        return {word: n for word, n in counts.items() if n}

    def __await__(self) -> Generator[Any, None, list[Any]]:
        yield from self._source.wait_async(self._handles).__await__()
        return self.results()

    def __repr__(self) -> str:
        queues = sorted({handle.queue for handle in self._handles})
        where = (
            f" in {queues[0] if len(queues) == 1 else f'{len(queues)} queues'}" if queues else ""
        )
        try:
            states = ", ".join(f"{n} {state}" for state, n in sorted(self.states().items()))
        except RunqyError as error:
            states = one_line(error)
        return f"<{len(self)} task{'s' * (len(self) != 1)}{where}{': ' if states else ''}{states}>"
