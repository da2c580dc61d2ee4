"""A slot's own process: handlers run there one at a time, beside the kernel and each other.

So a process that dies has died of the one task that it ran, and ending it ends that task alone. It
serves task after task; what `@load` made lives in it. A handler is sent when it is not the one that
was sent before: what it uses is compared each time, so a cell that is run again counts at once.
"""

from __future__ import annotations

import contextlib
import inspect
import itertools
import os
import pickle
import sys
import threading
from typing import Any

from runqy_notebook.broker.ledger import Entry
from runqy_notebook.registry import Handler, Loader
from runqy_notebook.running import reporting_task
from runqy_notebook.tasks import Fail
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.alarm import Alarm
from runqy_notebook.worker.child import Child
from runqy_notebook.worker.inside import Errand
from runqy_notebook.worker.leash import Ending, Leash
from runqy_notebook.worker.portable import (
    DiedError,
    NotPortableError,
    Packed,
    RaisedError,
    UnwantedError,
    describe_briefly,
    packed,
)

BOOT = 60.0  # seconds that a process may take until it calls the handler, beside the task's own
CLEANING_UP = 0.5  # seconds that an async handler gets to end by itself at its time limit
_MOST_HANDLERS = 32  # kept in a process


class _NeverBeganError(Exception):
    """The process died before it had called the handler."""


class Process:
    """Where a slot runs handlers; a child process that is replaced when it ends. Used by one thread
    at a time, which must outlive it.
    """

    def __init__(self, entry: Entry, cancel_grace: float) -> None:
        self._entry = entry
        self._cancel_grace = cancel_grace
        self._child: Child | None = None
        self._alarm = Alarm(self.kill)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()  # for the child as seen by other threads

    def start(self) -> None:
        """Starts the child where none lives, and waits until it is ready: a slot is not to hold a
        task meanwhile that another one could run.
        """
        if self._child is not None and not self._child.is_alive:
            self._let_go().close()
        if self._child is None:
            mark = self._entry.mark_of_a_child
            self._child = Child(mark[0] if mark else None)
            self._child.await_ready()

    def load(self, loader: Loader) -> None:
        """Runs a loader there, unless it was; raises RaisedError, NotPortableError."""
        self.start()
        self._load(loader, packed(loader), Leash(), limit=float("inf"))

    def check(self, handler: Handler) -> None:
        """Raises NotPortableError for a handler that cannot be sent to another process."""
        packed(handler)

    def run(
        self, handler: Handler, loader: Loader | None, task: Task, seconds: float, leash: Leash
    ) -> object:
        """The handler's value. `seconds` count from when the handler is called.

        Raises what the handler raised, as RaisedError; DiedError, NotPortableError, TimeoutError,
        and UnwantedError when the leash is pulled. The process is over then, but for the first.
        """
        ready = packed(handler)
        while True:
            self.start()
            assert self._child is not None  # noqa: S101 - started
            known = self._child.handlers.get(ready.key)
            if ready.by_name and known not in (None, handler):
                self._let_go().close()  # it has imported the module as it was before
                continue
            was_used = self._child.is_used
            try:
                if loader is not None and loader not in self._child.loaders:
                    self._load(loader, packed(loader), leash, seconds)
                    was_used = False
                return self._run(handler, ready, loader, task, seconds, leash)
            except _NeverBeganError as error:
                if not was_used:  # so it is the task's doing
                    self._entry.died_apart()
                    raise DiedError(*error.args) from None

    def tell_unwanted(self) -> None:
        """Tells the handler under way that the worker is about to stop."""
        self._tell_unwanted(is_cancelled=False)

    def kill(self) -> None:
        """Has the process die at once."""
        with self._lock:
            if self._child is not None:
                self._child.kill()

    def close(self) -> None:
        """Ends the process."""
        if self._child is not None:
            self._let_go().close()
        self._alarm.close()

    # --- inside ---------------------------------------------------------------------------------

    def _load(self, loader: Loader, text: Packed, leash: Leash, limit: float) -> None:
        child = self._child
        assert child is not None  # noqa: S101 - started
        if loader in child.loaders:
            return
        replaced = [each for each in child.loaders if each.queue == loader.queue]
        number = next(self._numbers)
        request = ("load", number, text.text, [child.loaders.pop(each) for each in replaced])
        try:
            answer = self._ask([*self._surroundings(child), request], leash, limit)
        except (_NeverBeganError, TimeoutError) as error:
            limit += BOOT  # it is not told when the loader is called
            how = f"ran longer than {limit:g} s" if not error.args else str(DiedError(*error.args))
            raise RaisedError(f"@load function {loader.name!r}: {how}", "") from None
        if answer[0] != "loaded":
            raise _raised(answer)
        child.loaders[loader] = number

    def _run(
        self,
        handler: Handler,
        ready: Packed,
        loader: Loader | None,
        task: Task,
        seconds: float,
        leash: Leash,
    ) -> object:
        child = self._child
        assert child is not None  # noqa: S101 - started
        requests = self._surroundings(child)
        if ready.key not in child.handlers:
            is_full = len(child.handlers) >= _MOST_HANDLERS
            if is_full:
                child.handlers.clear()
            requests.append(("handler", ready.key, ready.text, is_full))
        child.handlers[ready.key] = handler
        number = child.loaders[loader] if loader else None
        mark = self._entry.mark_of_a_child
        requests.append(("run", Errand(ready.key, number, task, seconds, mark)))
        self._entry.lent(child.pid)
        is_async = inspect.iscoroutinefunction(inspect.unwrap(handler.function))
        limit = seconds + CLEANING_UP if is_async else seconds
        word, *rest = self._ask(requests, leash, limit)
        self._entry.ended()
        if word != "value":
            raise _raised((word, *rest))
        text, why = rest
        if text is None:
            raise Fail(f"its result cannot be sent back: {why}")
        try:
            return pickle.loads(text)  # noqa: S301 - from our own child
        except Exception as error:
            raise Fail(f"its result cannot be read here: {describe_briefly(error)}") from error

    def _ask(
        self, requests: list[tuple[object, ...]], leash: Leash, limit: float
    ) -> tuple[Any, ...]:
        """The child's answer within so many seconds after it began; else it is over."""
        child, alarm = self._child, self._alarm
        assert child is not None  # noqa: S101 - started
        task = reporting_task()
        has_begun = False

        def began() -> None:
            nonlocal has_begun
            has_begun = True
            if not leash.is_pulled:
                alarm.set(limit)

        alarm.set(limit + BOOT)
        try:
            with leash.ending(lambda: self._heed(leash)):
                answer = child.ask(requests, task.report if task else None, began)
        except BaseException:
            alarm.off()
            self._let_go().end()
            raise
        has_rung = alarm.off()
        if answer is not None and not has_rung and leash.why is not Ending.LOST:
            return answer
        # From here on the child is dead, or about to be.
        if answer is None and has_begun and not has_rung and not leash.is_pulled:
            self._entry.died_apart()
            raise DiedError(self._let_go().end())
        self._entry.ended()
        code = self._let_go().end()
        if leash.is_pulled:
            if answer is not None:
                return answer
            raise UnwantedError
        if has_rung:
            raise TimeoutError
        raise _NeverBeganError(code)

    def _heed(self, leash: Leash) -> None:
        """Ends the child, after a time of grace where the task was cancelled."""
        if leash.why is Ending.CANCELLED:
            self._tell_unwanted(is_cancelled=True)
            self._alarm.set(self._cancel_grace)
        else:
            self.kill()

    def _tell_unwanted(self, *, is_cancelled: bool) -> None:
        with self._lock:
            if self._child is not None:
                self._child.tell_unwanted(is_cancelled=is_cancelled)

    def _surroundings(self, child: Child) -> list[tuple[object, ...]]:
        """Tells the child where modules and files are looked for, where that changed."""
        now = (list(sys.path), os.getcwd())
        if child.surroundings == now:
            return []
        child.surroundings = now
        return [("at", *now)]

    def _let_go(self) -> Child:
        with self._lock:
            child, self._child = self._child, None
        assert child is not None  # noqa: S101 - there was one
        return child


def _raised(answer: tuple[Any, ...]) -> Exception:
    word, *rest = answer
    if word == "unreadable":
        return NotPortableError(rest[0])
    error, traceback_text, text = rest
    cause = None
    if text is not None:
        with contextlib.suppress(Exception):  # its class may want other arguments
            cause = pickle.loads(text)  # noqa: S301 - from our own child
    is_exception = isinstance(cause, BaseException)
    return RaisedError(error, traceback_text, cause if is_exception else None)
