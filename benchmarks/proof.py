"""The proof that each task ran exactly once, and when the first and the last of them did."""

from __future__ import annotations

import threading
import time


class Tally:
    """Notes the number of each task that a handler is given. Threads may share it."""

    def __init__(self) -> None:
        self._ran: list[int] = []
        self._expected = 0
        self._first = self._last = 0.0
        self.all_ran = threading.Event()

    def expect(self, tasks: int) -> None:
        """From now on these numbers are to come: 0, 1, ... `tasks` - 1."""
        self._ran.clear()
        self.all_ran.clear()
        self._expected = tasks

    def note(self, number: int) -> None:
        """What every handler does, and all a no-op handler does."""
        if not self._ran:
            self._first = time.perf_counter()
        self._ran.append(number)
        if len(self._ran) == self._expected:
            self._last = time.perf_counter()
            self.all_ran.set()

    @property
    def seconds(self) -> float:
        """From the first run to the last."""
        return self._last - self._first

    def check(self) -> None:
        """Raises AssertionError where a task did not run, or ran twice."""
        if sorted(self._ran) != list(range(self._expected)):
            ran, different = len(self._ran), len(set(self._ran))
            raise AssertionError(
                f"{self._expected} tasks were to run exactly once, but {ran} runs were seen, of "
                f"{different} different tasks"
            )


TALLY = Tally()
"""The one of this process: handlers of some peers are found by their module's name."""
