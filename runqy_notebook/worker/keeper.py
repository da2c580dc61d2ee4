"""The worker's housekeeping: one thread, a list of chores, each with its own interval."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.worker.outage import Outage

TICK = 0.25  # seconds between looks at the clock

REST = 1.0  # seconds without any chore after one that Redis did not answer


@dataclass(slots=True)
class Chore:
    """Something to do every `interval` seconds; `now` in `act(now)` is by the monotonic clock."""

    name: str
    interval: float
    act: Callable[[float], None]
    always_writes: bool = False  # so that its success proves that the server takes writes
    after: Chore | None = None  # which comes before it where both are due
    due_at: float = field(default=0.0)

    def turn(self, now: float) -> tuple[float, bool]:
        """Its place among the chores of this moment, the lowest first."""
        if self.after is None or self.after.due_at > now:
            return self.due_at, False
        return max(self.due_at, self.after.due_at), True


class Keeper:
    """Does its chores until stopped. What fails because Redis is away is told to the outage and
    done again at its next time; the thread never dies of it.
    """

    def __init__(
        self, chores: list[Chore], outage: Outage, on_fault: Callable[[BaseException], None]
    ) -> None:
        self._chores = chores
        self._outage = outage
        self._on_fault = on_fault
        self._rests_until = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, name="runqy-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Ends the thread; whether a chore under way came to its end within so many seconds."""
        self._stopping.set()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join(timeout=seconds)
        return not self._thread.is_alive()

    def tick(self, now: float) -> None:
        """Does what is due: what has waited for longest first, but nothing before what it is to
        come after.
        """
        for chore in sorted(self._chores, key=lambda chore: chore.turn(now)):
            if self._stopping.is_set():
                return
            if now < max(chore.due_at, self._rests_until):
                continue
            chore.due_at = now + chore.interval
            try:
                chore.act(now)
                self._outage.succeeded(chore.name, has_written=chore.always_writes)
            except ConnectionFailedError as error:
                self._outage.failed(error, chore.name)
                self._rests_until = now + REST
            except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
                self._on_fault(error)

    def _live(self) -> None:
        while not self._stopping.wait(TICK):
            self.tick(time.monotonic())
