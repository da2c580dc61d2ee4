"""How a task that is under way is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum


class Ending(Enum):
    """Why a running task is to end."""

    LOST = "lost"  # it is not ours any more: whatever comes of it is dropped
    CANCELLED = "cancelled"  # somebody asked for it


class Leash:
    """One run's. Pulled once: what can be ended (a coroutine, a child process) is ended then; a
    plain function can only look whether it was.
    """

    def __init__(self) -> None:
        self.why: Ending | None = None
        self._lock = threading.Lock()
        self._ends: list[Callable[[], object]] = []

    @property
    def is_pulled(self) -> bool:
        return self.why is not None

    def pull(self, why: Ending) -> None:
        """Tells the run to end; later pulls change nothing."""
        with self._lock:
            if self.why is not None:
                return
            self.why = why
            for end in self._ends:
                end()

    @contextmanager
    def ending(self, end: Callable[[], object]) -> Iterator[None]:
        """Within it a pull calls `end`, at once where it was pulled before. `end` must be quick."""
        with self._lock:
            if self.why is not None:
                end()
            else:
                self._ends.append(end)
        try:
            yield
        finally:
            with self._lock:
                if end in self._ends:
                    self._ends.remove(end)
