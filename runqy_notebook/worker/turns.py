"""How long a thread may keep the others waiting, made shorter while slots have something to do.

With Python's own 5 ms a cell waits for that long each time that it comes back from a socket, and a
cell does so some ten times, while a handler computes or a slot runs one task after the other. At
0.1 ms two threads that compute take some 15 % longer together, and a thread alone no longer.
"""

from __future__ import annotations

import os
import sys
import threading
import time

_A_MOMENT = 0.0 if os.name == "nt" else 1e-6
"""Seconds; to sleep at all gives the interpreter's lock away. Windows may make 15 ms of any."""


def give_way() -> None:
    """Lets those run who were told something, now instead of when this thread waits for the server
    the next time: that takes it longer than their turn.
    """
    time.sleep(_A_MOMENT)


class SwitchInterval:
    """The process has one, so that it is shared by all who want it short."""

    def __init__(self) -> None:
        self._before = self._set = 0.0
        self._users = 0
        self._lock = threading.Lock()

    def start(self, seconds: float) -> None:
        """One more wants it short; the first one sets it, unless it is that short already."""
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = sys.getswitchinterval()
                if 0 < seconds < self._before:
                    sys.setswitchinterval(seconds)
                self._set = sys.getswitchinterval()

    def stop(self) -> None:
        """One less; after the last one all is as before, unless somebody else set it."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and sys.getswitchinterval() == self._set:
                sys.setswitchinterval(self._before)


INTERVAL = SwitchInterval()
"""The one of this process."""


class ShortTurns:
    """One slot's wish, of `seconds`; 0 leaves Python's own interval in force. For one thread."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_wished = False

    def begin(self) -> None:
        """The slot has something to do."""
        if not self._is_wished:
            self._is_wished = True
            INTERVAL.start(self._seconds)

    def end(self) -> None:
        """It waits, or is gone."""
        if self._is_wished:
            self._is_wished = False
            INTERVAL.stop()
