"""What queues did without telling: foreign workers count in Redis, and send no events."""

from __future__ import annotations


class Unheard:
    """The difference between a counter in Redis and what was heard. Events come a moment later than
    the counter grows, and may be heard before it is read: what differs is believed only when it
    did so the last time, too.
    """

    def __init__(self, count: int) -> None:
        self._known = count  # of the counter: told by events, or taken for granted
        self._gap = 0

    def hear(self, number: int) -> None:
        """So many were told by events."""
        self._known += number

    def look(self, count: int) -> int:
        """How many more there were, of which nobody told."""
        gap = count - self._known
        if (gap > 0) != (self._gap > 0) or not gap or not self._gap:
            self._gap = gap
            return 0
        sure = min(gap, self._gap, key=abs)
        self._known += sure
        self._gap = gap - sure
        return max(0, sure)
