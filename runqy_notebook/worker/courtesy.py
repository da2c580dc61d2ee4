"""Slots with quick tasks let the thread of the cells go first when it wakes.

A cell that runs beside them gets every other turn, and takes twice as long. So a slot looks now and
then, between two tasks, whether that thread is at work, and rests while it is: for a moment only,
as a cell may compute for hours.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

LONGEST: Final = 0.02
"""Seconds that a slot rests in all, until that thread has stood still for a while."""

STILL: Final = 0.005  # seconds
EVERY: Final = 0.0001  # seconds between two looks; a look costs a microsecond
NAP: Final = 0.004  # seconds: a cell passes through several threads, and this one waits for them
_SHARE: Final = 0.02  # of the time between two looks: who ran less has nothing to do


class Courtesy:
    """One slot's. `used` gives the seconds of processor that the other thread has used so far."""

    def __init__(self, used: Callable[[], float]) -> None:
        self._used = used
        self._ran = used()
        self._looked = self._was_busy = time.monotonic()
        self._left = LONGEST

    def give_way(self, now: float) -> float:
        """Rests while the other thread is at work; gives the seconds. `now` is by the monotonic
        clock.
        """
        if now - self._looked < EVERY:
            return 0.0
        began = now
        while self._is_busy(now) and self._left > 0:
            time.sleep(NAP)
            later = time.monotonic()
            self._left -= later - now
            now = later
        return now - began

    def _is_busy(self, now: float) -> bool:
        ran = self._used()
        share = (ran - self._ran) / max(now - self._looked, 1e-9)
        self._ran, self._looked = ran, now
        if share > _SHARE:
            self._was_busy = now
            return True
        if now - self._was_busy > STILL:
            self._left = LONGEST
        return False


def courtesy_to(thread: threading.Thread) -> Courtesy | None:
    """Towards that thread; None where the system has no clocks of threads (macOS, Windows)."""
    if not hasattr(time, "pthread_getcpuclockid") or thread.ident is None:
        return None
    clock = time.pthread_getcpuclockid(thread.ident)

    def used() -> float:
        try:
            return time.clock_gettime(clock)
        except OSError:  # the thread is over
            return 0.0

    return Courtesy(used)
