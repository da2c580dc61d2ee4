"""Cards of tasks that are done: what webhooks say of them comes after their end."""

from __future__ import annotations

import threading
from collections.abc import Collection
from typing import Final

from runqy_notebook.events import Subscription
from runqy_notebook.session import Session
from runqy_notebook.ui.card import TaskCard
from runqy_notebook.ui.group_card import GroupCard
from runqy_notebook.wire.events import Event, Kind

MOST_RESTING: Final = 50
"""The newest finished cards, which still hear; each takes part in every event's way."""

_LATE: Final = frozenset({Kind.ECHO, Kind.DELIVERED})


class Resting:
    """The finished cards of one session that still take webhooks and attempts to deliver."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._cards: tuple[tuple[object, Subscription], ...] = ()  # the oldest first
        self._lock = threading.Lock()  # cells and the watch come here

    def add(self, card: TaskCard | GroupCard, ids: Collection[str], heard: Subscription) -> None:
        """Has it hear on instead of what it `heard` by, until so many others came to rest."""

        def take(event: Event) -> None:
            if event.kind in _LATE:
                card.take(event)

        # Of this process's hub: no channel is heard for the sake of cards that are done.
        with self._lock:
            resting = card, self._session.events.exchange(heard, take, ids=ids)
            self._keep((*self._cards, resting)[-MOST_RESTING:])

    def forget(self, card: TaskCard | GroupCard) -> None:
        """Has this one hear nothing any more."""
        with self._lock:
            self._keep(tuple(each for each in self._cards if each[0] is not card))

    def leave(self) -> None:
        """No card hears anything any more."""
        with self._lock:
            self._keep(())

    def _keep(self, kept: tuple[tuple[object, Subscription], ...]) -> None:
        for each in self._cards:
            if each not in kept:
                self._session.events.unsubscribe(each[1])
        self._cards = kept
