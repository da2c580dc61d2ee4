"""Redis is away: few attempts, one line to the person, and one when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from runqy_notebook.errors import ConnectionFailedError

SPACING: Final = 0.4
"""Seconds between attempts while Redis is away, over all slots of the worker together."""

_SOONEST: Final = 0.1  # seconds between the first attempts, where nobody is there to be bothered
_SHARE: Final = 1 / 6
"""Of the outage so far, between those attempts: outcomes wait for Redis, and a worker that dies
with them in hand has run its tasks for nothing; so one that is away for a moment is met soon.
"""

_SILENT_FOR: Final = 0.2  # seconds; a connection that is replaced within them is nobody's concern

SLOTS: Final = "slots"
"""The source of what slots meet when they settle and claim."""


class Outage:
    """Shared by the threads of a worker; whoever meets a failure spares the others the same.

    Failures have a *source*, what somebody tried to do. It is over when nothing fails any more, so
    one command that is refused for ever (by an ACL, say) is told of once; and after a refusal
    (READONLY, say) not before something was written, as much of what a worker asks changes nothing
    at times and is answered all the while.
    """

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._turn = threading.Condition()
        self._causes: dict[str, str] = {}  # by source
        self._told: set[str] = set()
        self._began: float | None = None  # while it lasts
        self._needs_proof = False
        self._is_away = False  # by the last failure
        self._next_attempt = 0.0
        self._is_closed = False

    @property
    def is_on(self) -> bool:
        return bool(self._causes) or self._needs_proof

    def failed(self, error: ConnectionFailedError, source: str = SLOTS) -> None:
        """Notes a failure; each cause is told once."""
        with self._turn:
            now = time.monotonic()
            if self._began is None:
                self._began = now
            self._needs_proof |= error.is_refusal
            self._is_away = error.is_away
            self._causes[source] = error.cause
            is_news = error.cause not in self._told and now - self._began >= _SILENT_FOR
            if is_news:
                self._told.add(error.cause)
        if is_news:
            self._notice(f"{error} The worker keeps trying.")

    def succeeded(self, source: str = SLOTS, *, has_written: bool = False) -> None:
        """Notes that Redis answered: whoever failed for the same cause is well again, too."""
        if not self.is_on:
            return
        with self._turn:
            cause = self._causes.pop(source, None)
            self._causes = {s: other for s, other in self._causes.items() if other != cause}
            self._needs_proof &= not has_written
            if not self._causes:
                self._next_attempt = 0.0
                self._turn.notify_all()
            if self.is_on or self._began is None:
                return
            was_told = bool(self._told)
            self._told.clear()
            self._began = None
        if was_told:
            self._notice("Redis answers again; the worker goes on.")

    def hold_off(self) -> None:
        """Waits until it is the calling thread's turn to try again, or the outage is over."""
        with self._turn:
            now = time.monotonic()
            turn = max(self._next_attempt, now)
            turn += self._spacing(turn)
            self._next_attempt = turn
            self._turn.wait_for(lambda: self._is_closed or not self._causes, turn - now)

    def _spacing(self, at: float) -> float:
        if self._began is None or not self._is_away:
            return SPACING
        return min(SPACING, max(_SOONEST, _SHARE * (at - self._began)))

    def close(self) -> None:
        """Ends all holding off, for good."""
        with self._turn:
            self._is_closed = True
            self._turn.notify_all()
