"""The worker's housekeeping: one thread, a list of chores, each with its own interval."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from runqy_notebook.errors import ConnectionFailedError

TICK = 0.25  # seconds between looks at the clock


@dataclass(slots=True)
class Chore:
    """Something to do every `interval` seconds; `now` in `act(now)` is by the monotonic clock."""

    interval: float
    act: Callable[[float], None]
    due_at: float = field(default=0.0)


class Keeper:
    """Does its chores until stopped. What fails because Redis is away is told to `on_outage` and
    done again at its next time; the thread never dies of it.
    """

    def __init__(
        self,
        chores: list[Chore],
        on_outage: Callable[[ConnectionFailedError], None],
        on_fault: Callable[[BaseException], None],
    ) -> None:
        self._chores = chores
        self._on_outage = on_outage
        self._on_fault = on_fault
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="runqy-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a chore under way is finished first, for at most 2 s."""
        self._stopping.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)

    def tick(self, now: float) -> None:
        """Does what is due."""
        for chore in self._chores:
            if now < chore.due_at:
                continue
            chore.due_at = now + chore.interval
            try:
                chore.act(now)
            except ConnectionFailedError as error:
                self._on_outage(error)
            except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
                self._on_fault(error)

    def _live(self) -> None:
        while not self._stopping.wait(TICK):
            self.tick(time.monotonic())
