"""The thread that makes a lesson's moves, one after the other, beside the kernel's main thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, Final

_TICK: Final = 0.1  # seconds; an interrupt of the cell gets through between two


class Hand:
    """Does what it is given, in order, until `close`. A daemon: the kernel may end meanwhile."""

    def __init__(self, name: str) -> None:
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def give(self, job: Callable[[], Any]) -> Future[Any]:
        """Has this done after what was given before."""
        future: Future[Any] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Ends the thread after what was given."""
        self._jobs.put(None)
        if threading.current_thread() is not self._thread:
            self._thread.join(10.0)

    def _live(self) -> None:
        while (given := self._jobs.get()) is not None:
            job, future = given
            try:
                future.set_result(job())
            except BaseException as error:  # noqa: BLE001 - raised by whoever waits for it
                future.set_exception(error)


def waited_for(future: Future[Any]) -> Any:
    """The future's result, in waits that an interrupt ends."""
    while not wait([future], _TICK).done:
        pass
    return future.result()
