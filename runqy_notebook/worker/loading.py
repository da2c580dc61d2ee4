"""Running `@load` functions: before the first task, and again when one is defined anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from runqy_notebook.tasks import Loader, Registry
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.run import traceback_of
from runqy_notebook.worker.serving import Serving


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """A loader that raised, with its traceback as text."""

    loader: Loader
    error: BaseException
    traceback_text: str


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
        self.failures: dict[Loader, LoadFailure] = {}
        self.done = threading.Event()  # the first round is over
        self._registry = registry
        self._contexts = contexts
        self._serving = serving
        self._notice = notice
        self._loaded: set[Loader] = set()
        self._version: object = None
        self._lock = threading.Lock()

    @property
    def is_due(self) -> bool:
        """Whether handlers, loaders or queues have changed since the last round."""
        return self._version != self._state()

    def prepare(self, loop: SlotLoop) -> None:
        """Runs, on this thread, the loaders that are new; queues whose loader raises are barred
        until it is defined again.
        """
        if not self.is_due or not self._lock.acquire(blocking=False):
            return
        try:
            version = self._state()
            self._load_for(loop)
            self._version = version
        finally:
            self._lock.release()
            self.done.set()

    def _load_for(self, loop: SlotLoop) -> None:
        needed = {
            queue: loader
            for queue in self._serving.watched
            if self._registry.serves(queue) and (loader := self._registry.loader_for(queue))
        }
        loaders = set(needed.values())
        self._loaded &= loaders
        self._bar(needed, loaders - self._loaded)
        known, self.failures = self.failures, {}
        for loader in loaders - self._loaded:
            failure = known.get(loader) or self._load(loader, loop)
            if failure:
                self.failures[loader] = failure
            else:
                self._loaded.add(loader)
            if failure and self.done.is_set() and loader not in known:
                self._notice(
                    f"@load function {loader.name!r} raised; its queues wait:\n"
                    f"{failure.traceback_text}"
                )
        self._contexts.forget_others(loaders)
        self._bar(needed, set(self.failures))

    def _bar(self, needed: dict[str, Loader], loaders: set[Loader]) -> None:
        self._serving.barred = frozenset(q for q, loader in needed.items() if loader in loaders)

    def _load(self, loader: Loader, loop: SlotLoop) -> LoadFailure | None:
        try:
            self._contexts.of(loader, loop)
        except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
            return LoadFailure(loader, error, traceback_of(error))
        return None

    def _state(self) -> object:
        return self._registry.version, tuple(self._serving.names), len(self._serving.watched)
