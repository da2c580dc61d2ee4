"""Keeps the leases of attempts that take their time, as those of large files do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from runqy_notebook.broker.outbox import Outbox, Row
from runqy_notebook.errors import ConnectionFailedError

_LONGEST = 3_600.0  # seconds; an attempt that takes longer may be made by another, too


class Holding:
    """One thread for all attempts of a courier; it starts with the first one. `lease` gives the
    seconds of a lease, of which a third may pass between two rounds.
    """

    def __init__(self, outbox: Outbox, lease: Callable[[], float]) -> None:
        self._outbox = outbox
        self._lease = lease
        self._rows: dict[Row, float] = {}  # since when
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def held(self, row: Row) -> Iterator[None]:
        """The row's lease does not end within the block."""
        with self._lock:
            self._rows[row] = time.monotonic()
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(
                    target=self._live, name="runqy-courier-leases", daemon=True
                )
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                del self._rows[row]

    def stop(self, seconds: float) -> None:
        """Ends the thread: leases then end by themselves."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _live(self) -> None:
        while not self._stopping.wait(self._lease() / 3):
            now = time.monotonic()
            with self._lock:
                rows = [row for row, since in self._rows.items() if now - since < _LONGEST]
            with contextlib.suppress(ConnectionFailedError):
                for row in rows:
                    self._outbox.hold(row, self._lease())
