"""Finding the queues that outsiders create.

Our producers name their queues in a set; others just push. So somebody has to walk the keys: one
scanner per fleet (a lock with a TTL), which puts what it finds into the set that all read, and
takes at most 2 % of the server's time.
"""

from __future__ import annotations

import time
from typing import Any

import redis

from runqy_notebook.wire import queues
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_text

SHARE = 0.02
"""Part of the time that a scan may keep the server busy."""

REST = 2.0
"""Seconds between two walks over a small key space."""

_LOCK_TTL = 15  # seconds
_FIRST = 0.25  # seconds that count as passed before the first step


class Discovery:
    """Keeps the set of known queues complete. One thread calls it, at intervals."""

    def __init__(self, client: redis.Redis, scanner: str, layout: Layout = DOCUMENTED) -> None:
        self._client = client
        self._scanner = scanner
        self._layout = layout
        self._lock = layout.ours + "scanner"
        self._cursor = 0
        self._resume_at = 0.0
        self._stepped_at: float | None = None
        self._lock_checked_at = -60.0
        self._is_scanner = False

    def known(self) -> set[str]:
        """The queues that the set names."""
        names: Any = self._client.smembers(self._layout.queues)
        return set(map(to_text, names))

    def step(self, now: float) -> None:
        """Walks on over the keys where it is our turn; `now` is by the monotonic clock."""
        since = _FIRST if self._stepped_at is None else now - self._stepped_at
        budget, self._stepped_at = SHARE * min(since, 1.0), now
        if now < self._resume_at or not self._may_scan(now):
            return
        began = time.monotonic()
        while time.monotonic() - began < budget:
            self._scan()
            if not self._cursor:
                self._resume_at = now + REST
                break

    def _scan(self) -> None:
        page: Any = self._client.scan(self._cursor, match=self._layout.pending_pattern, count=1000)
        self._cursor, keys = page
        found = {self._layout.queue_of_base(to_text(key)[: -len("pending")]) for key in keys}
        names = [name for name in found if queues.is_valid(name)]
        if names:
            self._client.sadd(self._layout.queues, *names)

    def end(self, client: redis.Redis) -> None:
        """Leaves the scanning to others."""
        if self._is_scanner and client.get(self._lock) == self._scanner.encode():
            client.delete(self._lock)

    def _may_scan(self, now: float) -> bool:
        """Whether we hold the fleet's scanner lock, which is asked for or renewed every 5 s."""
        if now - self._lock_checked_at >= _LOCK_TTL / 3:
            self._lock_checked_at = now
            taken = self._client.set(self._lock, self._scanner, nx=True, ex=_LOCK_TTL)
            self._is_scanner = bool(taken) or self._renewed()
        return self._is_scanner

    def _renewed(self) -> bool:
        if self._client.get(self._lock) != self._scanner.encode():
            return False
        self._client.expire(self._lock, _LOCK_TTL)
        return True
