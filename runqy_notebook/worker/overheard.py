"""What handlers print in a process of their own, also by other programs: heard there, told here."""

from __future__ import annotations

import codecs
import os
import select
import subprocess
import sys
import threading

from runqy_notebook.running import Report
from runqy_notebook.worker.inside import END

TICK = 0.2  # seconds between looks at whether a silent child still lives
CHUNK = 2**16  # bytes
_LATE = 1.0  # seconds that the last words of a task may take on their way


class Overheard:
    """Hands what a child prints to `report`, that of the task it runs, or ran last; before the
    first one to whoever looks at this process. A thread, until the child ends.
    """

    def __init__(self, child: subprocess.Popen[bytes]) -> None:
        self.report: Report | None = None
        self._child = child
        self._pending = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._ends = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._live, name="runqy-overheard", daemon=True)
        self._thread.start()

    def catch_up(self) -> None:
        """Waits until everything is told that was printed before the END last written."""
        self._ends.acquire(timeout=_LATE)

    def join(self) -> None:
        """Waits until the last words of a child that ended are told."""
        self._thread.join()

    def _live(self) -> None:
        assert self._child.stderr is not None  # noqa: S101 - asked for
        with self._child.stderr as printed:
            while True:
                if os.name != "nt" and not select.select([printed], [], [], TICK)[0]:
                    if self._child.poll() is not None:
                        break  # who still holds the pipe is a child of the child
                    continue
                chunk = os.read(printed.fileno(), CHUNK)
                if not chunk:
                    break
                self._read(chunk)
        self._tell(self._pending)

    def _read(self, chunk: bytes) -> None:
        before, *parts = (self._pending + chunk).split(END)
        for part in parts:
            self._tell(before, is_last=True)
            self._ends.release()
            before = part
        begun = next((n for n in range(len(END) - 1, 0, -1) if before.endswith(END[:n])), 0)
        self._pending = before[len(before) - begun :]
        self._tell(before[: len(before) - begun])

    def _tell(self, printed: bytes, *, is_last: bool = False) -> None:
        text = self._decoder.decode(printed, is_last)
        if not text:
            return
        if self.report is not None:
            self.report.write("stdout", text)
        elif sys.stdout is not None:
            sys.stdout.write(text)
