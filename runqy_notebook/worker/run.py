"""From a task to its outcome: no Redis and no display in here."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from runqy_notebook.broker.ledger import Entry
from runqy_notebook.errors import HandlerError, PayloadError, did_you_mean, one_line
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import Fail, Handler, Loader, Registry, Retry
from runqy_notebook.wire.backoff import retry_delay
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import LARGEST_RESULT
from runqy_notebook.wire.outcomes import (
    CANCELLED,
    Archived,
    Completed,
    Crashed,
    Outcome,
    Released,
    Retried,
)
from runqy_notebook.wire.payload import decode_payload, encode_small, encode_value
from runqy_notebook.wire.plain import SCALARS
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.leash import Ending, Leash
from runqy_notebook.worker.portable import DiedError, NotPortableError, RaisedError, ShutError

_nesting = importlib.util.find_spec("nest_asyncio")
_NOT_THE_USERS = (
    str(Path(__file__).parent),
    str(Path(asyncio.__file__).parent),
    *((_nesting.origin,) if _nesting and _nesting.origin else ()),
)
"""Where the frames lie that stand above a handler's own in a traceback."""

ERROR_LIMIT = 2_000
"""Characters of an error that are written to Redis."""

_CLEANING_UP = 0.2  # seconds that a cancelled coroutine gets for its `finally`
_LARGE = 2**20  # bytes of a stored result from which a person is told
_LONGEST_DELAY = 10 * 365 * 86_400.0  # seconds


_SURELY_VALUES = SCALARS | {dict, list, tuple}
"""Types whose values cannot be awaited; to ask a value takes half a microsecond."""


class Away(Protocol):
    """Where handlers run that do not run in the slot's thread."""

    def run(
        self, handler: Handler, loader: Loader | None, task: Task, seconds: float, leash: Leash
    ) -> object:
        """The handler's value; raises what `portable` lists, and TimeoutError."""


class Run(NamedTuple):
    """A task on its way through a slot: the slot's event loop, how it is told to end, the place
    where it stands for the guardian to see, and where it runs, if not in the slot's thread.
    """

    task: Task
    loop: SlotLoop
    leash: Leash
    entry: Entry
    away: Away | None = None


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs handlers. `notice` is told what a person should know and no outcome carries."""

    registry: Registry
    contexts: Contexts
    settings: Settings
    notice: Callable[[str], None]

    def run(self, run: Run) -> Outcome:
        """One task, from handler to outcome; never raises, whatever the handler did."""
        task = run.task
        try:
            outcome = self._run(run)
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, SystemExit too
            outcome = self.failed(task, error)
        if run.leash.why is None or isinstance(outcome, Completed):
            return outcome
        return Released(task) if run.leash.why is Ending.LOST else Archived(task, CANCELLED)

    def _run(self, run: Run) -> Outcome:
        task = run.task
        handler = self.registry.handler_for(task.queue, task.type)
        if handler is None:
            raise HandlerError(self._no_handler(task))
        try:
            payload = decode_payload(task.payload, task.id)
        except PayloadError as error:
            return Archived(task, f"the payload is unusable: {one_line(error)}")
        if task.time_left is not None and task.time_left <= 0:
            return Archived(task, "its deadline had passed before it was started")
        if task.is_suspect or run.away is not None:
            return self._run_away(run, handler)
        return self.completed(task, handler, self._call(run, handler, payload))

    def _run_away(self, run: Run, handler: Handler) -> Outcome:
        """In another process. A suspect gets one to itself: it was lost with its worker before, and
        may be why.
        """
        from runqy_notebook.worker.apart import Apart  # seldom needed

        task, seconds = run.task, self.timeout(run.task)
        loader = self.registry.loader_for(task.queue) if handler.takes_context else None
        away = run.away
        if task.is_suspect or away is None:
            away = Apart(run.entry, self.settings.cancel_grace)
        try:
            value = away.run(handler, loader, task, seconds, run.leash)
        except DiedError as error:
            return Crashed(task, str(error), is_known=error.is_known)
        except ShutError:
            return Released(task)
        except NotPortableError as error:
            was_lost = "it was running when its worker died, and " if task.is_suspect else ""
            why = f"its handler cannot run in another process ({one_line(error)})"
            return Archived(task, f"held: {was_lost}{why}")
        except TimeoutError:
            return self.failed(task, HandlerTimeout(seconds))
        return self.completed(task, handler, value)

    def _call(self, run: Run, handler: Handler, payload: object) -> object:
        """The handler's value; an async one runs on the slot's loop, within its time limit and
        until its leash is pulled.
        """
        run.entry.calling()
        arguments: tuple[object, ...] = (payload,)
        if handler.takes_context:
            arguments += (self.contexts.of(self.registry.loader_for(run.task.queue), run.loop),)
        value = handler.function(*arguments)
        if type(value) not in _SURELY_VALUES and inspect.isawaitable(value):
            return within_its_time(run.loop, value, self.timeout(run.task), run.leash)
        return value

    def timeout(self, task: Task) -> float:
        """Seconds that the task may run: its own limit, the handler's, or the setting."""
        if task.timeout is not None:
            return task.timeout
        handler = self.registry.handler_for(task.queue, task.type)
        own = handler.timeout if handler else None
        return own if own is not None else self.settings.timeout

    def completed(self, task: Task, handler: Handler, value: object) -> Completed:
        """The outcome of a handler that returned; its result as JSON where it is to be stored."""
        if not self._stores(task, handler):
            return Completed(task, value, told=encode_small(value, LARGEST_RESULT))
        try:
            result = encode_value(value)
        except Exception as error:  # noqa: BLE001 - a value may run any code
            told = one_line(error) if isinstance(error, PayloadError) else describe(error)
            name = one_line(task.id, 80)
            self.notice(f"Task {name} is done, but its result was not stored: {told}")
            return Completed(task, value)
        if len(result) > _LARGE:
            self.notice(
                f"The stored result of task {one_line(task.id, 80)} takes "
                f"{len(result) / 2**20:.1f} MB of the memory of Redis. Better: "
                "@task(deliver_to='s3://...'), 'file:///...' or another destination "
                "(docs/destinations.md)."
            )
        ttl = task.result_ttl or self.settings.result_ttl
        news = result if len(result) <= LARGEST_RESULT else b""
        return Completed(task, value, result, ttl, news)

    def failed(self, task: Task, error: BaseException) -> Outcome:
        """Another attempt where the task has one left and the handler did not give up."""
        text, told = describe(error), traceback_of(error)
        if isinstance(error, RaisedError) and error.cause is not None:
            error = error.cause
        if isinstance(error, Fail) or not task.has_retry_left:
            return Archived(task, text, error, told)
        delay = _asked_delay(error) if isinstance(error, Retry) else None
        if delay is None:
            delay = retry_delay(
                task.retry, first=self.settings.retry_delay, longest=self.settings.retry_delay_max
            )
        return Retried(task, text, delay, error, told)

    def _stores(self, task: Task, handler: Handler) -> bool:
        if task.store is not None:
            return task.store
        if handler.store_result is not None:
            return handler.store_result
        return self.settings.store_results

    def _no_handler(self, task: Task) -> str:
        types = self.registry.types_of(task.queue)
        hint = did_you_mean(task.type, types)
        return (
            f"No handler for tasks of type {one_line(task.type, 80)!r} in {task.queue}; "
            f"handlers there are for: {', '.join(types) or 'nothing'}.{hint}"
        )


class HandlerTimeout(Exception):  # noqa: N818 - what the task's record says
    """The task ran longer than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"timed out after {seconds:g} s")
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[HandlerTimeout], tuple[float]]:
        return HandlerTimeout, (self.seconds,)


@dataclass(frozen=True, slots=True)
class _Ended:
    """How a coroutine ended. As a value, for an event loop is left half-way by SystemExit and
    KeyboardInterrupt, and would raise them again in the next task's run.
    """

    value: object = None
    error: BaseException | None = None

    def value_or_raise(self) -> object:
        if self.error is not None:
            raise self.error
        return self.value


def within_its_time(
    loop: SlotLoop, value: Awaitable[object], seconds: float, leash: Leash
) -> object:
    """What the awaitable gives, or raises, HandlerTimeout for one."""
    ended = loop.run(_within(seconds, value, leash))
    assert isinstance(ended, _Ended)  # noqa: S101 - for the type checker
    return ended.value_or_raise()


async def _within(seconds: float, value: Awaitable[object], leash: Leash) -> _Ended:
    """How the awaitable ended; after so many seconds it is cancelled and ends in HandlerTimeout.
    It is cancelled by its leash, too, and has the rest of its time to clean up.
    """
    task = asyncio.ensure_future(_ended(value))
    loop = asyncio.get_running_loop()
    with leash.ending(lambda: loop.call_soon_threadsafe(task.cancel)):
        done, _ = await asyncio.wait({task}, timeout=seconds)
    if done:
        return task.result()
    task.cancel()
    await asyncio.wait({task}, timeout=_CLEANING_UP)
    return _Ended(error=HandlerTimeout(seconds))


async def _ended(value: Awaitable[object]) -> _Ended:
    try:
        return _Ended(await value)
    except BaseException as error:  # noqa: BLE001 - see _Ended
        return _Ended(error=error)


def _asked_delay(request: Retry) -> float | None:
    """The seconds that a handler asked for; None where they are none."""
    asked = getattr(request, "in_seconds", None)
    if isinstance(asked, (int, float)) and asked >= 0:
        return min(asked, _LONGEST_DELAY)
    return None


def describe(error: BaseException) -> str:
    """`Type: message` of any exception, also of one whose `__str__` raises, cut to size and such
    that it can be sent.
    """
    try:
        if isinstance(error, (Fail, Retry)):
            text = one_line(getattr(error, "why", error), ERROR_LIMIT) or type(error).__name__
        elif isinstance(error, (HandlerTimeout, HandlerError, RaisedError)):
            text = str(error)
        else:
            message = str(error)
            name = type(error).__name__
            text = f"{name}: {message}" if message else name
    except BaseException:  # noqa: BLE001 - the user's __str__
        text = f"{type(error).__name__}: (its __str__ raised)"
    return text[:ERROR_LIMIT].encode("utf-8", "backslashreplace").decode()


def traceback_of(error: BaseException) -> str:
    """The traceback from the handler's own frame on, as Python prints it."""
    if isinstance(error, RaisedError):
        return error.traceback_text
    step = error.__traceback__
    while step and step.tb_next and step.tb_frame.f_code.co_filename.startswith(_NOT_THE_USERS):
        step = step.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, step, limit=-30))
    except BaseException:  # noqa: BLE001 - the user's __str__ again
        return "".join(traceback.format_tb(step, limit=-30)) + describe(error)
