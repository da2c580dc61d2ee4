"""Handles: what `enqueue` gives back, to ask for a task's state and wait for its result.

A handle learns of its task's end from the worker of this process, which costs nothing, or by
looking into Redis now and then, for the sake of workers elsewhere.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

from runqy_notebook.broker.records import Standing
from runqy_notebook.errors import (
    ResultNotStoredError,
    RunqyError,
    TaskFailedError,
    UnknownTaskError,
    WaitTimeoutError,
    one_line,
)
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome, Retried
from runqy_notebook.wire.payload import decode
from runqy_notebook.wire.states import State

TICK = 0.1
"""Seconds that a wait sleeps at most: an interrupt gets through between two ticks."""

_FIRST_LOOK = 0.05  # seconds until the first look into Redis, doubled up to the last
_LAST_LOOK = 0.5
_LOOK_AT = 500  # unfinished tasks looked at in one round trip
_LOOKS_WITHOUT_RESULT = 2  # after which a completed task's result counts as not stored


@dataclass(frozen=True, slots=True)
class Source:
    """Where handles look: standings by task id, and why a task of some queue may be waiting."""

    standings: Callable[[Sequence[str]], list[Standing]]
    remedy: Callable[[str], str]


class TaskHandle:
    """One task. `await t` or `t.result(timeout=10)` gives its value.

    `result` raises TaskFailedError when the task was archived, WaitTimeoutError when it is not
    done in time, ResultNotStoredError when it is done but nobody kept its result. Waiting changes
    nothing: the task goes on whether somebody waits or not.
    """

    def __init__(self, task_id: str, queue: str, source: Source) -> None:
        self.id = task_id
        self.queue = queue
        self._source = source
        self._value: object = None
        self._failure: RunqyError | None = None
        self._state: State | None = None  # once finished
        self._last_error: str | None = None
        self._fruitless_looks = 0
        self._callbacks: list[Callable[[], None]] = []

    @property
    def is_done(self) -> bool:
        """Whether the end of the task is known here; no round trip."""
        return self._state is not None or self._failure is not None

    @property
    def state(self) -> str:
        """The task's state now: pending, active, scheduled, retry, completed or archived; "gone"
        where Redis has no record of it (any more).
        """
        if self._state is not None:
            return self._state.value
        (standing,) = self._source.standings([self.id])
        return standing.state.value if standing.state else "gone"

    @property
    def error(self) -> str | None:
        """The error of the last attempt, if it failed."""
        if isinstance(self._failure, TaskFailedError):
            return self._failure.error
        if self._state is State.COMPLETED:
            return None
        if self._last_error is None:
            (standing,) = self._source.standings([self.id])
            return standing.error
        return self._last_error

    def wait(self, timeout: float | None = None) -> TaskHandle:
        """Waits until the task is done, for at most `timeout` seconds; raises WaitTimeoutError."""
        _wait([self], self._source, timeout)
        return self

    def result(self, timeout: float | None = None) -> Any:
        """What the handler returned; see the class for what it raises."""
        self.wait(timeout)
        if self._failure is not None:
            raise self._failure
        return self._value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from _wait_async([self], self._source).__await__()
        return self.result(0)

    def __repr__(self) -> str:
        try:
            state = self.state
        except RunqyError as error:
            return f"<Task {one_line(self.id, 80)} in {self.queue}: {one_line(error)}>"
        if state == State.COMPLETED and self.is_done and self._failure is None:
            state = f"completed -> {one_line(repr(self._value), 80)}"
        elif state in (State.ARCHIVED, State.RETRY):
            state = f"{state}: {one_line(self.error or '', 160)}"
        return f"<Task {one_line(self.id, 80)} in {self.queue}: {state}>"

    # --- what becomes known -----------------------------------------------------------------

    def report(self, outcome: Outcome) -> None:
        """Takes an outcome that a worker of this process wrote down."""
        if isinstance(outcome, Completed):
            self._finish(State.COMPLETED, outcome.value)
        elif isinstance(outcome, Archived):
            failure = TaskFailedError(
                self.id, outcome.task.queue, outcome.error, outcome.traceback_text
            )
            failure.__cause__ = outcome.cause
            self._finish(State.ARCHIVED, None, failure)
        elif isinstance(outcome, Retried):
            self._last_error = outcome.error

    def observe(self, standing: Standing) -> None:
        """Takes what Redis says about the task."""
        if self.is_done:
            return
        if standing.state is State.ARCHIVED:
            error = standing.error or "no reason was recorded"
            failure = TaskFailedError(self.id, self.queue, error)
            self._finish(State.ARCHIVED, None, failure)
        elif standing.result is not None and standing.state in (State.COMPLETED, None):
            self._finish(State.COMPLETED, decode(standing.result))
        elif standing.state in (State.COMPLETED, None):
            # A worker of this process may be about to report: believe only the second look.
            self._fruitless_looks += 1
            if self._fruitless_looks >= _LOOKS_WITHOUT_RESULT:
                self._finish_without_result(standing.state)

    def when_done(self, callback: Callable[[], None]) -> None:
        """Calls back, on whatever thread, once the task's end is known."""
        self._callbacks.append(callback)
        if self.is_done:
            self._call_back()

    def _finish_without_result(self, state: State | None) -> None:
        if state is State.COMPLETED:
            self._finish(state, None, ResultNotStoredError(self.id))
        else:
            self._finish(None, None, UnknownTaskError(self.id))

    def _finish(
        self, state: State | None, value: object, failure: RunqyError | None = None
    ) -> None:
        self._value, self._failure = value, failure
        self._state = state
        self._call_back()

    def _call_back(self) -> None:
        while self._callbacks:
            try:
                callback = self._callbacks.pop()
            except IndexError:  # another thread took it
                return
            callback()


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

    @property
    def ids(self) -> list[str]:
        """The task ids, in order."""
        return [handle.id for handle in self._handles]

    def states(self) -> dict[str, int]:
        """How many tasks are in each state now."""
        done = Counter(h.state for h in self._handles if h._state is not None)
        open_ids = [h.id for h in self._handles if h._state is None]
        for at in range(0, len(open_ids), _LOOK_AT):
            standings = self._source.standings(open_ids[at : at + _LOOK_AT])
            done.update(s.state.value if s.state else "gone" for s in standings)
        return dict(done)

    def wait(self, timeout: float | None = None) -> TaskGroup:
        """Waits until every task is done, for at most `timeout` seconds in all."""
        _wait(self._handles, self._source, timeout)
        return self

    def results(self, timeout: float | None = None, *, errors: str = "raise") -> list[Any]:
        """The results in order. `errors="return"` puts the exception in a failed task's place
        instead of raising the first one.
        """
        if errors not in ("raise", "return"):
            raise ValueError(f'errors is "raise" or "return", not {errors!r}')
        self.wait(timeout)
        return [h._failure if h._failure and errors == "return" else h.result(0) for h in self]

    def __await__(self) -> Generator[Any, None, list[Any]]:
        yield from _wait_async(self._handles, self._source).__await__()
        return self.results(0)

    def __repr__(self) -> str:
        queues = sorted({handle.queue for handle in self._handles})
        where = queues[0] if len(queues) == 1 else f"{len(queues)} queues"
        try:
            states = ", ".join(f"{n} {state}" for state, n in sorted(self.states().items()))
        except RunqyError as error:
            states = one_line(error)
        return f"<{len(self)} tasks in {where}: {states or 'none'}>"


class _Looks:
    """When to look into Redis during a wait, and doing it for all that are not done."""

    def __init__(self, handles: Sequence[TaskHandle], source: Source) -> None:
        self._handles = handles
        self._source = source
        self._interval = _FIRST_LOOK
        self._next = time.monotonic() + self._interval

    @property
    def is_due(self) -> bool:
        return time.monotonic() >= self._next

    def look(self) -> None:
        waiting = [handle for handle in self._handles if not handle.is_done][:_LOOK_AT]
        standings = self._source.standings([handle.id for handle in waiting])
        for handle, standing in zip(waiting, standings, strict=True):
            handle.observe(standing)
        self._interval = min(self._interval * 2, _LAST_LOOK)
        self._next = time.monotonic() + self._interval


def _wait(handles: Sequence[TaskHandle], source: Source, timeout: float | None) -> None:
    ends = time.monotonic() + timeout if timeout is not None else float("inf")
    looks = _Looks(handles, source)
    for handle in handles:
        if handle.is_done:
            continue
        done = threading.Event()
        handle.when_done(done.set)
        while not handle.is_done:
            left = ends - time.monotonic()
            if left <= 0:
                looks.look()
                if not handle.is_done:
                    raise _timed_out(handle, source, timeout or 0)
            done.wait(max(0.0, min(TICK, left, looks._next - time.monotonic())))
            if looks.is_due and not handle.is_done:
                looks.look()


async def _wait_async(handles: Sequence[TaskHandle], source: Source) -> None:
    loop = asyncio.get_running_loop()
    looks = _Looks(handles, source)
    for handle in handles:
        if handle.is_done:
            continue
        done = asyncio.Event()
        handle.when_done(lambda done=done: _call_soon(loop, done.set))  # type: ignore[misc]
        while not handle.is_done:
            # The loop must come up for air: an interrupt is only seen when it wakes.
            try:
                await asyncio.wait_for(done.wait(), TICK)
            except asyncio.TimeoutError:
                if looks.is_due and not handle.is_done:
                    await asyncio.to_thread(looks.look)


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[], Any]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:  # the loop is closed: nobody waits there any more
        return


def _timed_out(handle: TaskHandle, source: Source, timeout: float) -> WaitTimeoutError:
    return WaitTimeoutError(handle.id, timeout, handle.state, source.remedy(handle.queue))
