"""Joining what was heard of a task before its card was there with what comes after."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection

from runqy_notebook.wire.events import Event


class Joined:
    """A listener that gives each event once: what `heard` still takes in until `join`, and what
    comes to itself. Both are told by one hub, so that an event that comes both ways is one object.
    """

    def __init__(self, take: Callable[[Event], None]) -> None:
        self._take = take
        self._waiting: list[Event] | None = []
        self._early: list[Event] = []  # kept, so that no later event can have their identity
        self._known: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            if self._waiting is not None:
                self._waiting.append(event)
                return
        if id(event) not in self._known:
            self._take(event)

    def join(self, heard: Collection[Event], ids: Collection[str]) -> None:
        """Gives what was heard of these tasks, and then what came meanwhile."""
        with self._lock:
            self._early = [event for event in heard if event.task_id in ids]
            self._known = {id(event) for event in self._early}
            late = [event for event in self._waiting or () if id(event) not in self._known]
            for event in (*self._early, *late):
                self._take(event)
            self._waiting = None
