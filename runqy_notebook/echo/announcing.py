"""Telling others of receipts without ever holding up the receiver."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from runqy_notebook.echo.receipts import Receipt, Receipts
from runqy_notebook.errors import one_line

Listener = Callable[[Receipt], None]

_PAUSE = 1.0  # seconds between looks at whether it is over; a receipt wakes it at once


class Announcer:
    """Calls each listener with each receipt, in order, from one thread of its own.

    The receipts that are kept are its queue: what is forgotten before the listeners came to it was
    dropped, so that `told + dropped` is every receipt but those still waiting.
    """

    def __init__(self, receipts: Receipts, notice: Callable[[str], None]) -> None:
        self.told = 0
        self.dropped = 0
        self._receipts = receipts
        self._notice = notice
        self._listeners: list[Listener] = []
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Has `listener` called from now on; what is given back ends that."""
        self._listeners = [*self._listeners, listener]  # anew: the thread iterates over it

        def forget() -> None:
            self._listeners = [one for one in self._listeners if one is not listener]

        return forget

    def start(self) -> None:
        self._stopping, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._announce,
            args=(self._stopping, self._ended),
            name="runqy-echo-announcer",
            daemon=True,
        )
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread; a listener under way is not waited for longer than 5 s."""
        self._stopping.set()
        self._receipts.wake()
        thread = self._thread
        if thread is None or thread is threading.current_thread():  # a listener may stop it all
            return
        # Ctrl-C within Thread.join marks a live thread as dead (CPython <= 3.12), so wait first.
        if self._ended.wait(5.0):
            thread.join()

    def _announce(self, stopping: threading.Event, ended: threading.Event) -> None:
        try:
            while not stopping.is_set():
                self._next()
        finally:
            ended.set()

    def _next(self) -> None:
        seen = self.told + self.dropped
        found = self._receipts.next_after(seen, _PAUSE)
        if found is not None:
            number, receipt = found
            self.dropped += number - seen - 1
            self._tell(receipt)
            self.told += 1

    def _tell(self, receipt: Receipt) -> None:
        for listener in self._listeners:
            try:
                listener(receipt)
            except Exception as error:  # noqa: BLE001 - somebody else's code, on our thread
                said = one_line("".join(traceback.format_exception_only(error)))
                self._notice(f"A listener for webhooks failed at receipt {receipt.id}: {said}")
