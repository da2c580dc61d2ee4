"""What stood in a list lately, so that a click goes to what the person saw there."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

SETTLE: Final = 0.4
"""Seconds from a change here until a person clicks because of it: the way to the page, and eye and
hand. Who clicks earlier means what stood there before."""
MOST: Final = 200


class Showings:
    """The keys of a list's places, as they were written to the page; any thread may ask."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._shown: deque[tuple[float, tuple[str, ...]]] = deque(maxlen=MOST)
        self._answer = -1
        self._lock = threading.Lock()

    def add(self, keys: Sequence[str], answer: int) -> None:
        """Takes down what is shown from now on. Another `answer` is another list that the person
        asked for: what stood there before is not meant any more.
        """
        with self._lock:
            if answer != self._answer:
                self._shown.clear()
                self._answer = answer
            if not self._shown or self._shown[-1][1] != tuple(keys):
                self._shown.append((self._clock(), tuple(keys)))

    def seen(self, place: int, late: float) -> str | None:
        """The key that the person saw at this place (from 0) who clicks now, or `late` seconds ago
        at most; None where it was now this one and now that, or none at all. What is new at a place
        that was empty is meant at once.
        """
        meant, since = self._meant(late)
        found = {keys[place] for keys in meant if place < len(keys)}
        if not found:
            found = set([keys[place] for keys in since if place < len(keys)][:1])
        return found.pop() if len(found) == 1 else None

    def all_seen(self, late: float) -> Sequence[str] | None:
        """The keys of all places that the person saw; None where they changed meanwhile."""
        found = set(self._meant(late)[0])
        return found.pop() if len(found) == 1 else None

    def _meant(self, late: float) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        """The lists that the person may have looked at, none where the first is forgotten; and
        those that came since.
        """
        with self._lock:
            shown = list(self._shown)
            end = self._clock() - SETTLE
        n_seen = max(1, sum(at <= end for at, _ in shown))
        n_gone = sum(until <= end - late for until, _ in shown[1:])
        if len(shown) == MOST and shown[0][0] > end - late:
            return [], []
        keys = [each for _, each in shown]
        return keys[n_gone:n_seen], keys[n_seen:]
