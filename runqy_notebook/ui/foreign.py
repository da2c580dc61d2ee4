"""What workers do that send no events, found by looking: about once a second, at what is active
without a lease of ours. What they do in less time is not seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from runqy_notebook.errors import UnknownQueueError
from runqy_notebook.session import Session
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State

BY: Final = "a foreign worker, seen by looking"
_MOST: Final = 200  # active tasks looked at, of each name

_ENDS: Final = {
    State.COMPLETED: Kind.COMPLETED,
    State.ARCHIVED: Kind.ARCHIVED,
    State.RETRY: Kind.RETRIED,
    State.PENDING: Kind.RELEASED,
}


class ForeignTasks:
    """Tasks in foreign hands; `names` select queues, none means all."""

    def __init__(self, session: Session, names: Iterable[str]) -> None:
        self._session = session
        self._names: tuple[str | None, ...] = tuple(names) or (None,)
        self._held: dict[str, str] | None = None  # id to queue; None: not looked yet
        self._leaving: dict[str, str] = {}  # held no more, and nothing said of their end yet

    def look(self) -> list[Event]:
        """What happened since the last look; the first only learns who is there."""
        now = time.time()
        found: dict[str, str] = {}
        for name in self._names:
            try:
                records = self._session.records(name, State.ACTIVE, _MOST)
            except UnknownQueueError:
                continue
            found |= {r.id: r.queue for r in records if r.lease_expires_at is None}
        before, self._held = self._held, found
        if before is None:
            return []
        started = [
            Event(Kind.STARTED, task_id, queue, now, BY, State.ACTIVE)
            for task_id, queue in found.items()
            if task_id not in before
        ]
        gone = [task_id for task_id in before if task_id not in found]
        standings = self._session.standings(gone)
        ended = [
            Event(_ENDS[s.state], s.id, before[s.id], now, BY, s.state, error=s.error or "")
            for s in standings
            if s.state in _ENDS
        ]
        # They take a task out of active first and write its state then: it is looked at once more.
        is_new = [s.id for s in standings if s.state is State.ACTIVE and s.id not in self._leaving]
        self._leaving = {task_id: before[task_id] for task_id in is_new}
        self._held |= self._leaving
        return [*ended, *started]
