"""What is heard of a queue before there is a card that takes it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from typing import Final

from runqy_notebook.events import Events, Subscription
from runqy_notebook.wire.events import Event

_MOST_KEPT: Final = 10_000


class Early:
    """Keeps a queue's events until a card takes those of its own tasks, and passes them on to it
    from then on.

    It is one listener all the time and its subscription is exchanged for another at once, so that
    no event falls between the two and none is told twice.
    """

    def __init__(self, events: Events, queue: str) -> None:
        self._events = events
        self._kept: list[Event] = []
        self._pass: Callable[[Event], None] | None = None
        self._lock = threading.Lock()
        self._broad = events.subscribe(self._take, names=(queue,))

    @property
    def has_heard(self) -> bool:
        """Whether anything is kept."""
        return bool(self._kept)

    def knows_of(self, ids: Collection[str]) -> bool:
        """Whether anything was heard of these tasks."""
        with self._lock:
            return any(event.task_id in ids for event in self._kept)

    def give(
        self, take: Callable[[Event], None], names: Collection[str], ids: Collection[str]
    ) -> Subscription:
        """Has `take` hear of these tasks, and of the queues themselves, from the first event on."""
        narrow = self._events.exchange(self._broad, self._take, names=names, ids=ids)

        def take_its_own(event: Event) -> None:
            if narrow.wants(event):  # it may be on its way by the broad one still
                take(event)

        with self._lock:
            kept, self._kept = self._kept, []  # of other tasks too: a card may live long
            for event in kept:
                take_its_own(event)
            self._pass = take_its_own
        return narrow

    def end(self) -> None:
        """Hears of no queue any more; who was given to goes on."""
        self._events.unsubscribe(self._broad)

    def _take(self, event: Event) -> None:
        with self._lock:
            if self._pass is None:
                if len(self._kept) < _MOST_KEPT:
                    self._kept.append(event)
                return
        self._pass(event)
