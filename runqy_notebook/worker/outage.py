"""Redis is away: few attempts, one line to the person, and one when it is back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from runqy_notebook.errors import ConnectionFailedError

SPACING = 0.25
"""Seconds between attempts while Redis is away, over all threads of the worker together."""


class Outage:
    """Shared by the threads of a worker; whoever meets a failure spares the others the same."""

    def __init__(self, notice: Callable[[str], None]) -> None:
        self._notice = notice
        self._lock = threading.Lock()
        self._next_attempt = 0.0
        self._cause: str | None = None

    @property
    def is_on(self) -> bool:
        return self._cause is not None

    def failed(self, error: ConnectionFailedError) -> None:
        """Notes a failure; a new cause is told, a known one is not."""
        with self._lock:
            is_news = self._cause != error.cause
            self._cause = error.cause
        if is_news:
            self._notice(f"{error} The worker keeps trying.")

    def succeeded(self) -> None:
        """Notes that Redis answered."""
        if self._cause is None:
            return
        with self._lock:
            was_on, self._cause = self._cause is not None, None
        if was_on:
            self._notice("Redis answers again; the worker goes on.")

    def seconds_to_attempt(self) -> float:
        """How long the calling thread has to wait until its turn to try."""
        with self._lock:
            now = time.monotonic()
            turn = max(self._next_attempt, now + SPACING)
            self._next_attempt = turn + SPACING
            return turn - now
