"""An executor that the user lends us, as a place where handlers run (`carried` is the other end).

It stays the user's: we neither make, restart nor shut it down. So what runs there cannot be ended
from here, and when it breaks nobody knows which task did it.
"""

from __future__ import annotations

import pickle
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor
from typing import Any

from runqy_notebook.errors import one_line
from runqy_notebook.registry import Handler, Loader
from runqy_notebook.running import reporting_task
from runqy_notebook.tasks import Fail
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.carried import Answer, Parcel, carry, run_here
from runqy_notebook.worker.leash import Leash
from runqy_notebook.worker.portable import (
    DiedError,
    RaisedError,
    ShutError,
    UnwantedError,
    describe_briefly,
    packed,
)


class Lent:
    """One executor; the slots of a worker share it. `on_broken` is told why it takes no more."""

    def __init__(self, executor: Executor, on_broken: Callable[[str], None]) -> None:
        self._executor = executor
        self._on_broken = on_broken
        self._is_here = isinstance(executor, ThreadPoolExecutor)
        self._names: dict[Loader, str] = {}
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        return type(self._executor).__name__

    def start(self) -> None:
        """Its owner has started it."""

    def close(self) -> None:
        """Its owner shuts it down."""

    def tell_unwanted(self) -> None:
        """There is no way to tell what runs there."""

    def load(self, loader: Loader) -> None:
        """Loaders run with the first task of each process there."""

    def check(self, handler: Handler) -> None:
        """Raises NotPortableError for a handler that cannot be sent there."""
        if not self._is_here:
            packed(handler)

    def run(
        self, handler: Handler, loader: Loader | None, task: Task, seconds: float, leash: Leash
    ) -> object:
        """The handler's value. `seconds` count from when it is given to the executor.

        Raises what the handler raised, as RaisedError; DiedError, NotPortableError, TimeoutError,
        UnwantedError when the leash is pulled, ShutError when the executor takes nothing more.
        """
        parcel = self._parcel(handler, loader, task, seconds)
        future = self._submitted(parcel, handler)
        is_over = threading.Event()
        future.add_done_callback(lambda _: is_over.set())
        with leash.ending(is_over.set):
            is_over.wait(min(seconds, threading.TIMEOUT_MAX))
        if not future.done():
            future.cancel()  # if it has not begun
            if leash.is_pulled:
                raise UnwantedError
            raise TimeoutError
        return self._value(future)

    def _submitted(self, parcel: Parcel, handler: Handler) -> Future[Any]:
        import cloudpickle

        try:
            if self._is_here:
                return self._executor.submit(run_here, parcel)
            try:
                text = cloudpickle.dumps(parcel)
            except Exception:
                packed(handler)  # which says more
                raise
            return self._executor.submit(carry, text)
        except (BrokenExecutor, RuntimeError) as error:
            self._on_broken(describe_briefly(error))
            raise ShutError from error

    def _value(self, future: Future[Any]) -> object:
        try:
            answer = future.result()
        except BrokenExecutor as error:
            self._on_broken(describe_briefly(error))
            raise DiedError(f"the executor broke: {one_line(error, 200)}", is_known=False) from None
        except CancelledError:
            raise RaisedError("its executor cancelled it", "") from None
        except Exception as error:
            if type(error).__name__ == "KilledWorker":  # Dask names the one that did it
                raise DiedError(one_line(error, 200)) from None
            raise
        if isinstance(answer, bytes):
            try:
                answer = pickle.loads(answer)  # noqa: S301 - from the user's own executor
            except Exception as error:
                raise Fail(f"its result cannot be read here: {describe_briefly(error)}") from error
        return _value_of(answer)

    def _parcel(
        self, handler: Handler, loader: Loader | None, task: Task, seconds: float
    ) -> Parcel:
        head = (handler.function, handler.takes_context, task, seconds)
        if loader is None:
            return Parcel(*head)
        with self._lock:
            name = self._names.setdefault(loader, uuid.uuid4().hex)
            replaced = [n for of, n in self._names.items() if of.queue == loader.queue]
        return Parcel(*head, name, loader.function, tuple(n for n in replaced if n != name))


def _value_of(answer: Answer) -> object:
    task = reporting_task()
    if task is not None and task.report is not None:
        for word, *rest in answer.said:
            getattr(task.report, word)(*rest)
    if not answer.error_text:
        return answer.value
    if answer.error is None and not answer.traceback_text:
        raise Fail(answer.error_text)
    raise RaisedError(answer.error_text, answer.traceback_text, answer.error)
