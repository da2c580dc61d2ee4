"""Awaiting what comes in a moment without falling asleep, which costs 40 to 80 us."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from typing import Any, Final

AWAKE: Final = 200e-6  # seconds

_MOST_MISSES: Final = 8  # after which every 257th time is tried

_let_others_run: Callable[[], object] = getattr(os, "sched_yield", lambda: None)


class Alertness:
    """Whether it pays to stay awake. Where the server has another core its answer often comes
    before this thread had fallen asleep and been woken; where it is far away, or waits for this
    core, it never does, and is awaited so ever more seldom. Threads may share it.
    """

    def __init__(self) -> None:
        self._misses = 0  # in a row
        self._asleep = 0  # times not to try

    def look(self, poll: Any, seconds: float) -> list[tuple[int, int]]:
        """What the select.poll object found, within so many seconds at most; nothing, and that at
        once, where it is not worth while.
        """
        if self._asleep > 0:
            self._asleep -= 1
            return []
        ends = time.perf_counter() + seconds
        while not (found := poll.poll(0)):  # which lets other threads run, where they have a core
            if time.perf_counter() >= ends:
                self._misses = min(self._misses + 1, _MOST_MISSES)
                self._asleep = 2**self._misses
                return []
            _let_others_run()
        self._misses = 0
        return found  # type: ignore[no-any-return]


def poll_of(*fds: int) -> Any:
    """A select.poll object for what is to be read there; None where the system has none."""
    if not hasattr(select, "poll"):
        return None
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    return poll
