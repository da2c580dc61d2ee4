"""News of tasks inside this process: from its worker, its sessions and the channels of others, to
cards, streams and whoever else listens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from runqy_notebook.wire import queues
from runqy_notebook.wire.events import Event
from runqy_notebook.wire.outcomes import Outcome

Listener = Callable[[Event], None]

TOLD_WITHIN = 2.0
"""Seconds that it may take to tell of what is written down; a listener may keep it longer."""


@dataclass(frozen=True, slots=True, eq=False)
class Subscription:
    """One listener and what it wants to hear: of the tasks in `ids`, and of the queues that `names`
    select where a queue itself is meant; or else all of these queues; neither means everything.
    """

    listener: Listener
    names: frozenset[str]
    ids: frozenset[str]

    def wants(self, event: Event) -> bool:
        if self.ids:
            if event.task_id:
                return event.task_id in self.ids
            return any(queues.selects(name, event.queue) for name in self.names)
        return not self.names or any(queues.selects(name, event.queue) for name in self.names)


class Events:
    """Hands events to listeners, at once and on the thread that brings them.

    A listener is to be quick (put it into a list, set a flag) and may be called by several threads
    at a time; one that raises is told to `on_fault` and hears the next event all the same.
    """

    def __init__(self, on_fault: Callable[[BaseException], None] = lambda error: None) -> None:
        self._on_fault = on_fault
        self._all: tuple[Subscription, ...] = ()  # replaced, never changed: read without a lock
        self._ending: list[Ends] = []  # under way; append and remove are atomic
        self._lock = threading.Lock()

    def subscribe(
        self, listener: Listener, *, names: Iterable[str] = (), ids: Iterable[str] = ()
    ) -> Subscription:
        """From now on `listener` hears of these tasks, or of these queues and their sub-queues."""
        made = _subscription(listener, names, ids)
        with self._lock:
            self._all = (*self._all, made)
        return made

    def exchange(
        self,
        subscription: Subscription,
        listener: Listener,
        *,
        names: Iterable[str] = (),
        ids: Iterable[str] = (),
    ) -> Subscription:
        """`listener` hears from now on instead of that one's; no event is told to both."""
        made = _subscription(listener, names, ids)
        with self._lock:
            self._all = (*(each for each in self._all if each is not subscription), made)
        return made

    def unsubscribe(self, subscription: Subscription) -> None:
        """Never calls that listener again, save for a call under way."""
        with self._lock:
            self._all = tuple(each for each in self._all if each is not subscription)

    @property
    def subscriptions(self) -> tuple[Subscription, ...]:
        return self._all

    def publish(self, event: Event) -> None:
        """Tells everybody who wants to hear it."""
        for each in self._all:
            if each.wants(event):
                try:
                    each.listener(event)
                except Exception as error:  # noqa: BLE001 - the others must hear it all the same
                    self._on_fault(error)

    def ending(self, outcomes: Sequence[Outcome]) -> Ends:
        """Within it the worker of this process writes down how these tasks ended, and tells it."""
        return Ends(self._ending, outcomes)

    def is_ending(self, task_id: str) -> bool:
        """Whether the end of this task is about to be told here. Who asks after he saw it in Redis
        knows that it was told already, or that it happened elsewhere, where this is False.
        """
        return any(ends.is_told_soon(task_id) for ends in tuple(self._ending))


class Ends:
    """Tasks whose ends are told together. Few of them are ever asked for."""

    def __init__(self, under_way: list[Ends], outcomes: Sequence[Outcome]) -> None:
        self._under_way, self._outcomes = under_way, outcomes
        self._until = float("inf")  # by the monotonic clock

    def __enter__(self) -> Ends:
        self._under_way.append(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._under_way.remove(self)

    def are_written(self) -> None:
        """They are told next: nobody waits for that for ever, a listener perhaps in vain."""
        self._until = time.monotonic() + TOLD_WITHIN

    def is_told_soon(self, task_id: str) -> bool:
        return task_id in self._ids and time.monotonic() < self._until

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(outcome.task.id for outcome in self._outcomes)


def _subscription(listener: Listener, names: Iterable[str], ids: Iterable[str]) -> Subscription:
    return Subscription(listener, frozenset(map(queues.checked, names)), frozenset(ids))
