"""Where a task goes when its queue is named: to that queue, or to a parent's default sub-queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from runqy_notebook.registry import REGISTRY, Registry
from runqy_notebook.wire import queues

_FRESH = 5.0  # seconds for which the known queues are believed


class Names:
    """Resolves names. A *parent* is known by a handler or worker of that name or by having
    sub-queues; a task for it goes to its default sub-queue. Any other name is taken as it is, and
    so is `inference_high`: a handler or worker of that name is one for that sub-queue.
    """

    def __init__(
        self, separator: str, known: Callable[[], Iterable[str]], registry: Registry = REGISTRY
    ) -> None:
        self._served: frozenset[str] = frozenset()  # names that a worker of this process serves
        self._separator = separator
        self._look = known
        self._registry = registry
        self._known: frozenset[str] = frozenset()
        self._believed_until = 0.0
        self._targets: dict[str, str] = {}  # what was found lately
        self._version = -1  # of the registry, then
        self._forget_at = 0.0

    def serve(self, names: Iterable[str]) -> None:
        """A worker of this process serves these too."""
        self._served |= frozenset(names)
        self._targets = {}

    def serve_nothing(self) -> None:
        """It serves none any more."""
        self._served = frozenset()
        self._targets = {}

    def target(self, name: str) -> str:
        """The full name of the queue; raises QueueNameError. A round trip every 5 s at most."""
        now = time.monotonic()
        if now >= self._forget_at or self._version != self._registry.version:
            self._version, self._targets = self._registry.version, {}
            self._forget_at = self._believed_until if now < self._believed_until else now + _FRESH
        targets = self._targets  # not those of a worker that comes or goes meanwhile
        found = targets.get(name) if isinstance(name, str) else None
        if found is None:
            found = targets[name] = self._find(name)
        return found

    def _find(self, name: str) -> str:
        target = queues.checked(name)
        if self._is_parent(name):
            target = queues.checked(queues.default_of(name, self._separator))
        self._known |= {target}
        return target

    def _is_parent(self, name: str) -> bool:
        if not queues.can_be_parent(name, self._separator):
            return False
        if name in self._registry.queues():
            return True
        known = self._known_queues()
        if name in known:
            return False
        if any(queue != name and queues.parent_of(queue) == name for queue in known):
            return True
        return name in self._served and queues.parent_of(name) == name

    def _known_queues(self) -> frozenset[str]:
        now = time.monotonic()
        if now >= self._believed_until:
            self._known = frozenset(self._look())
            self._believed_until = now + _FRESH
        return self._known
