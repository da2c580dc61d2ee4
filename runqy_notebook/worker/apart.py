"""Running a suspect in a process of its own.

A task that was lost with its worker may be what killed it. Its next attempts run here, each in a
fresh process and one at a time: if it kills again, only that process dies, and the kernel with all
it holds lives on.
"""

from __future__ import annotations

import threading

from runqy_notebook.broker.ledger import Entry
from runqy_notebook.tasks import Handler, Loader
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.leash import Leash
from runqy_notebook.worker.portable import UnwantedError
from runqy_notebook.worker.process import Process

_ONE_AT_A_TIME = threading.Lock()
_LOOK = 0.2  # seconds between looks whether a task that waits for its turn is still wanted


class Apart:
    """Where suspects run."""

    def __init__(self, entry: Entry, cancel_grace: float) -> None:
        self._entry = entry
        self._cancel_grace = cancel_grace

    def run(
        self, handler: Handler, loader: Loader | None, task: Task, seconds: float, leash: Leash
    ) -> object:
        """The handler's value; its loader runs anew. Raises what `Process.run` does."""
        while not _ONE_AT_A_TIME.acquire(timeout=_LOOK):
            if leash.is_pulled:
                raise UnwantedError
        try:
            process = Process(self._entry, self._cancel_grace)
            try:
                return process.run(handler, loader, task, seconds, leash)
            finally:
                process.kill()
                process.close()
        finally:
            _ONE_AT_A_TIME.release()  # whatever the process's end was like
