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
    """Keeps the contexts in step with the registry. Slots share it."""

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
        self._version: object = None
        self._lock = threading.Lock()

    def prepare(self, loop: SlotLoop) -> None:
        """Runs, on this thread, the loaders that are new; queues whose loader raises are barred
        until it is defined again.
        """
        state = (self._registry.version, len(self._serving.watched))
        if state == self._version:
            return
        with self._lock:
            needed = {
                queue: loader
                for queue in self._serving.watched
                if self._registry.serves(queue) and (loader := self._registry.loader_for(queue))
            }
            known = self.failures
            self.failures = {
                loader: failure
                for loader in set(needed.values())
                if (failure := known.get(loader) or self._load(loader, loop))
            }
            self._serving.barred = frozenset(
                queue for queue, loader in needed.items() if loader in self.failures
            )
            self._contexts.forget_others(set(needed.values()))
            self._version = state
        if self.done.is_set():
            for loader in self.failures.keys() - known.keys():
                told = self.failures[loader].traceback_text
                self._notice(f"@load function {loader.name!r} raised; its queues wait:\n{told}")
        self.done.set()

    def _load(self, loader: Loader, loop: SlotLoop) -> LoadFailure | None:
        try:
            self._contexts.of(loader, loop)
        except BaseException as error:  # noqa: BLE001 - the user's function may raise anything
            return LoadFailure(loader, error, traceback_of(error))
        return None
