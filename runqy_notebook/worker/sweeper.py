"""Bringing scheduled tasks due where no worker of ours does: foreign workers know no schedule."""

from __future__ import annotations

from collections.abc import Callable

from runqy_notebook.broker.broker import Broker
from runqy_notebook.worker.keeper import Chore, Keeper
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.run import describe

INTERVAL = 0.5  # seconds; a queue that somebody else just swept is passed over


class Sweeper:
    """Sweeps the queues to which a session sent tasks for later, as long as it is open."""

    def __init__(self, broker: Broker, lease: float, notice: Callable[[str], None]) -> None:
        self._broker = broker
        self._lease = lease
        self._notice = notice
        self._queues: set[str] = set()
        self._keeper: Keeper | None = None

    def look_after(self, queue: str) -> None:
        """Sweeps this queue too, from now on; the first one starts the thread."""
        self._queues.add(queue)
        if self._keeper is None:
            chore = Chore("sweeping for scheduled tasks", INTERVAL, self._sweep, always_writes=True)
            self._keeper = Keeper([chore], Outage(self._notice), self._fault)
            self._keeper.start()

    def stop(self) -> None:
        """Ends the thread."""
        if self._keeper is not None:
            self._keeper.stop(2.0)

    def _sweep(self, now: float) -> None:
        self._broker.sweep(sorted(self._queues), second_look=self._lease / 3)

    def _fault(self, error: BaseException) -> None:
        self._notice(f"Scheduled tasks may be late: {describe(error)}")
