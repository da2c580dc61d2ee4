"""What happened, second by second."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

KEPT: Final = 600  # seconds that are remembered


@dataclass(slots=True)
class Second:
    """What happened in one second; durations are sums in seconds, of so many tasks."""

    at: int  # of the monotonic clock
    enqueued: int = 0
    completed: int = 0
    failed: int = 0
    waited: float = 0.0
    n_waited: int = 0
    ran: float = 0.0
    n_ran: int = 0

    def add(self, other: Second) -> None:
        """Counts what happened in another second too."""
        self.enqueued += other.enqueued
        self.completed += other.completed
        self.failed += other.failed
        self.waited += other.waited
        self.n_waited += other.n_waited
        self.ran += other.ran
        self.n_ran += other.n_ran


class Seconds:
    """The newest seconds in which something happened, oldest first."""

    def __init__(self) -> None:
        self._kept: deque[Second] = deque(maxlen=KEPT)

    def at(self, now: int) -> Second:
        """The second to count in."""
        if not self._kept or self._kept[-1].at < now:
            self._kept.append(Second(now))
        return self._kept[-1]

    def last(self, n: int, until: int) -> list[Second]:
        """The `n` seconds before the second `until`, quiet ones too."""
        known = {}
        for second in reversed(self._kept):
            if second.at < until - n:
                break
            known[second.at] = second
        return [known.get(at) or Second(at) for at in range(until - n, until)]


def together(seconds: list[Second], size: int) -> list[Second]:
    """The same in pieces of so many seconds; the oldest may be shorter."""
    pieces: list[Second] = []
    for end in range(len(seconds), 0, -size):
        piece = Second(seconds[max(0, end - size)].at)
        for second in seconds[max(0, end - size) : end]:
            piece.add(second)
        pieces.append(piece)
    return pieces[::-1]
