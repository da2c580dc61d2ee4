"""A time limit that is set often and hardly ever reached."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Alarm:
    """Calls `ring`, which must be quick, when the time that was set is over.

    One thread, made when it is first set: it sleeps until the earliest time it was told, so that
    setting the alarm for every task wakes nobody.
    """

    def __init__(self, ring: Callable[[], object]) -> None:
        self.has_rung = False  # since it was set last
        self._ring = ring
        self._at: float | None = None  # by the monotonic clock, in seconds
        self._sleeps_until = 0.0
        self._turn = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def set(self, seconds: float) -> None:
        """Rings once, so many seconds from now, unless it is set again before."""
        with self._turn:
            self.has_rung = False
            self._at = time.monotonic() + min(seconds, threading.TIMEOUT_MAX / 2)
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="runqy-alarm", daemon=True)
                self._thread.start()
            elif self._at < self._sleeps_until:
                self._turn.notify()

    def off(self) -> bool:
        """Does not ring any more; whether it has."""
        with self._turn:
            self._at = None
            return self.has_rung

    def close(self) -> None:
        """Ends the thread."""
        with self._turn:
            self._is_closed = True
            self._turn.notify()
        if self._thread is not None:
            self._thread.join()

    def _live(self) -> None:
        with self._turn:
            while not self._is_closed:
                at = self._at
                left = None if at is None else at - time.monotonic()
                if left is None or left > 0:
                    self._sleeps_until = float("inf") if at is None else at
                    self._turn.wait(left)
                else:
                    self._at, self.has_rung = None, True
                    self._ring()
