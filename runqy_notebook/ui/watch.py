"""Looks after what is live: time that goes on, tasks of workers that send no events, waiting tasks
that nobody serves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from runqy_notebook import current
from runqy_notebook.broker.records import Standing
from runqy_notebook.errors import RunqyError
from runqy_notebook.handles import TaskHandle
from runqy_notebook.session import Session

ROUND: Final = 1.0  # seconds
MOST_LOOKED_AT: Final = 500  # tasks in a round, for one card
_REMEDY_AGE: Final = 5.0  # seconds for which the answer to why a queue waits is good
_AFTER_AN_ERROR: Final = 5.0  # seconds


class Live(Protocol):
    """A card, as the watch sees it."""

    @property
    def is_over(self) -> bool: ...
    @property
    def waits_in(self) -> str: ...
    def tick(self) -> None: ...
    def unheard(self, limit: int) -> list[TaskHandle]: ...
    def observe(self, standing: Standing) -> None: ...
    def say(self, text: str) -> None: ...
    def learn_whether_paused(self, is_paused: bool) -> None: ...


class Watch:
    """One thread for all that is live in a session; it ends when nothing is."""

    def __init__(
        self,
        session: Session,
        on_over: Callable[[Live], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._session = session
        self._on_over = on_over
        self._on_lost = on_lost  # told when the session is not the current one any more
        self._live: list[Live] = []
        self._remedies: dict[str, tuple[float, str, bool]] = {}
        self._rest_until = 0.0
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._lock = threading.Lock()

    def add(self, card: Live) -> None:
        """Looks after this card until it is over."""
        with self._lock:
            self._live.append(card)
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._watch, name="runqy-watch", daemon=True)
                self._thread.start()

    def forget(self, card: Live) -> None:
        """Looks after this card no more."""
        with self._lock:
            self._live = [each for each in self._live if each is not card]

    def stop(self) -> None:
        """Looks after nothing any more."""
        self._stopped.set()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    @property
    def all(self) -> list[Live]:
        with self._lock:
            return list(self._live)

    def _watch(self) -> None:
        while not self._stopped.wait(ROUND):
            if not current.has_session() or current.session() is not self._session:
                self._on_lost()
                return
            for card in self.all:
                if card.is_over:
                    self.forget(card)
                    self._on_over(card)
            with self._lock:
                if not self._live:
                    self._thread = None
                    return
            for card in self.all:
                card.tick()
            if time.monotonic() > self._rest_until:
                self._look()

    def _look(self) -> None:
        """Looks into Redis for cards that have heard nothing."""
        try:
            for card in self.all:
                handles = card.unheard(MOST_LOOKED_AT)
                if handles:
                    for standing in self._session.standings([handle.id for handle in handles]):
                        card.observe(standing)
                if queue := card.waits_in:
                    told, is_paused = self._remedy(queue)
                    card.say(told)
                    card.learn_whether_paused(is_paused)
        except RunqyError:
            self._rest_until = time.monotonic() + _AFTER_AN_ERROR

    def _remedy(self, queue: str) -> tuple[str, bool]:
        """What to do about a task that waits there, and whether the queue is paused."""
        at, told, is_paused = self._remedies.get(queue, (-_REMEDY_AGE, "", False))
        if time.monotonic() - at > _REMEDY_AGE:
            told = self._session.why_waiting(queue)
            told = "" if told.startswith("It goes on") else told
            is_paused = self._session.is_paused(queue)
            self._remedies[queue] = (time.monotonic(), told, is_paused)
        return told, is_paused
