"""From a task to its outcome: no Redis and no display in here."""

from __future__ import annotations

import asyncio
import inspect
import time
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from runqy_notebook.errors import HandlerError, PayloadError, did_you_mean, one_line
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import Fail, Handler, Registry, Retry
from runqy_notebook.wire.backoff import retry_delay
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome, Retried
from runqy_notebook.wire.payload import decode_payload, encode_value
from runqy_notebook.worker.contexts import Contexts, SlotLoop

ERROR_LIMIT = 2_000
"""Characters of an error that are written to Redis."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs handlers. `notice` is told what a person should know and no outcome carries."""

    registry: Registry
    contexts: Contexts
    settings: Settings
    notice: Callable[[str], None]

    def run(self, task: Task, loop: SlotLoop) -> Outcome:
        """One task, from handler to outcome; never raises for what the handler did."""
        handler = self.registry.handler_for(task.queue, task.type)
        if handler is None:
            return self.failed(task, HandlerError(self._no_handler(task)))
        try:
            payload = decode_payload(task.payload, task.id)
        except PayloadError as error:
            return Archived(task, f"the payload is unusable: {one_line(error)}")
        if task.deadline is not None and time.time() > task.deadline:
            return Archived(task, "its deadline had passed before it was started")
        try:
            value = self.call(handler, task, payload, loop)
        except BaseException as error:  # noqa: BLE001 - a handler may raise anything, SystemExit too
            return self.failed(task, error)
        return self.completed(task, handler, value)

    def call(self, handler: Handler, task: Task, payload: object, loop: SlotLoop) -> object:
        """The handler's value; an async one runs on the slot's loop, within its time limit."""
        arguments: tuple[object, ...] = (payload,)
        if handler.takes_context:
            arguments += (self.contexts.of(self.registry.loader_for(task.queue), loop),)
        value = handler.function(*arguments)
        if inspect.isawaitable(value):
            value = loop.run(_within(self.timeout(task), value))
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
            return Completed(task, value)
        try:
            result = encode_value(value)
        except PayloadError as error:
            self.notice(f"Task {task.id} is done, but its result was not stored: {error}")
            return Completed(task, value)
        return Completed(task, value, result, task.result_ttl or self.settings.result_ttl)

    def failed(self, task: Task, error: BaseException) -> Outcome:
        """Another attempt where the task has one left and the handler did not give up."""
        text, told = describe(error), traceback_of(error)
        if isinstance(error, Fail) or not task.has_retry_left:
            return Archived(task, text, error, told)
        asked = error.in_seconds if isinstance(error, Retry) else None
        delay = retry_delay(
            task.retry, first=self.settings.retry_delay, longest=self.settings.retry_delay_max
        )
        return Retried(task, text, delay if asked is None else max(0.0, asked), error, told)

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


async def _within(seconds: float, value: Awaitable[object]) -> object:
    """The awaited value; cancels it and raises HandlerTimeout after so many seconds."""
    task = asyncio.ensure_future(value)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.cancel()
        raise HandlerTimeout(seconds)
    return task.result()


def describe(error: BaseException) -> str:
    """`Type: message` of any exception, also of one whose `__str__` raises, cut to size."""
    if isinstance(error, (Fail, Retry)):
        return one_line(error.why, ERROR_LIMIT)
    if isinstance(error, (HandlerTimeout, HandlerError)):
        return str(error)
    try:
        message = str(error)
    except Exception:  # noqa: BLE001 - the user's __str__
        message = "(its __str__ raised)"
    name = type(error).__name__
    return (f"{name}: {message}" if message else name)[:ERROR_LIMIT]


def traceback_of(error: BaseException) -> str:
    """The traceback from the handler's own frame on, as Python prints it."""
    step = error.__traceback__
    while step and step.tb_frame.f_code.co_filename == __file__:
        step = step.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, step, limit=-30))
    except Exception:  # noqa: BLE001 - the user's __str__ again
        return "".join(traceback.format_tb(step, limit=-30)) + describe(error)
