"""Running `@load` functions: before the first task, and again when one is defined anew."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from runqy_notebook.errors import HandlerError, LoadError, RunqyError, one_line
from runqy_notebook.tasks import Handler, Loader, Registry
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.portable import NotPortableError
from runqy_notebook.worker.run import traceback_of
from runqy_notebook.worker.serving import Serving


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A loader that raised, with its traceback as text, or a handler that cannot be sent to where
    it is to run.
    """

    part: Loader | Handler
    error: BaseException
    traceback_text: str

    @property
    def what(self) -> str:
        """What is wrong."""
        if isinstance(self.error, NotPortableError):
            return f"{self._part} cannot run in another process: {self.error}"
        return f"{self._part} raised {one_line(repr(self.error), 160)}"

    def as_error(self) -> RunqyError:
        """What a person is told whose worker did not start."""
        if isinstance(self.error, NotPortableError):
            remedy = "Make that in the handler or in @load, or use --executor thread."
            return HandlerError(f"{self.what}. {remedy}")
        return LoadError(self.part.name, self.error, self.traceback_text)

    def as_notice(self) -> str:
        """What is told of a worker that runs already."""
        if isinstance(self.error, NotPortableError):
            return f"{self.what}. Its queues wait until it is defined again."
        return f"{self._part} raised; its queues wait:\n{self.traceback_text}"

    @property
    def _part(self) -> str:
        kind = "The handler" if isinstance(self.part, Handler) else "The @load function"
        return f"{kind} {self.part.name!r}"


class Place(Protocol):
    """Where a slot runs handlers."""

    def load(self, loader: Loader) -> object: ...
    def check(self, handler: Handler) -> None: ...


class Here:
    """The slot's own thread, as a place where handlers run."""

    def __init__(self, contexts: Contexts, loop: SlotLoop) -> None:
        self.load = partial(contexts.of, loop=loop)

    def check(self, handler: Handler) -> None:
        """Any handler can run here."""


class Loading:
    """Keeps the contexts in step with the registry. Slots share it: one of them loads, the others
    meanwhile serve the queues that are ready.
    """

    def __init__(
        self,
        registry: Registry,
        contexts: Contexts,
        serving: Serving,
        notice: Callable[[str], None],
    ) -> None:
        self.failures: dict[Loader | Handler, LoadFailure] = {}
        self.done = threading.Event()  # the first round is over
        self._registry = registry
        self._contexts = contexts
        self._serving = serving
        self._notice = notice
        self._ready: set[Loader | Handler] = set()
        self._version: object = None
        self._lock = threading.Lock()

    @property
    def is_waiting(self) -> bool:
        """Whether a round is due, as handlers, loaders or queues have changed since the last one,
        and no slot is at it.
        """
        return self._version != self._state() and not self._lock.locked()

    def prepare(self, place: Place) -> None:
        """Runs, on this thread, the loaders that are new, for handlers at this place; queues whose
        loader raises, or whose handler cannot run there, are barred until it is defined again.
        """
        if self._version == self._state() or not self._lock.acquire(blocking=False):
            return
        try:
            version = self._state()
            self._load_for(place)
            self._version = version
        finally:
            self._lock.release()
            self.done.set()

    def _load_for(self, place: Place) -> None:
        needed = {queue: self._needed(queue) for queue in self._serving.watched}
        parts = {part for those in needed.values() for part in those}
        self._ready &= parts
        self._bar(needed, (part for part in parts - self._ready if isinstance(part, Loader)))
        known, self.failures = self.failures, {}
        for part in parts - self._ready:
            failure = known.get(part) or self._failure(part, place)
            if failure:
                self.failures[part] = failure
            else:
                self._ready.add(part)
            if failure and self.done.is_set() and part not in known:
                self._notice(failure.as_notice())
        self._contexts.forget_others({part for part in parts if isinstance(part, Loader)})
        self._bar(needed, self.failures)

    def _needed(self, queue: str) -> set[Loader | Handler]:
        """What must be ready before a task of this queue can run."""
        handlers = self._registry.handlers_of(queue)
        loader = self._registry.loader_for(queue)
        return {*handlers, loader} if handlers and loader else {*handlers}

    def _bar(
        self, needed: dict[str, set[Loader | Handler]], missing: Iterable[Loader | Handler]
    ) -> None:
        missing = set(missing)
        self._serving.barred = frozenset(q for q, parts in needed.items() if parts & missing)

    def _failure(self, part: Loader | Handler, place: Place) -> LoadFailure | None:
        try:
            if isinstance(part, Loader):
                place.load(part)
            else:
                place.check(part)
        except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
            return LoadFailure(part, error, traceback_of(error))
        return None

    def _state(self) -> object:
        return self._registry.version, self._serving.watched
