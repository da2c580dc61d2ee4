"""The kernel's end of a process that runs handlers (`inside` is the other one)."""

from __future__ import annotations

import contextlib
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

from runqy_notebook.registry import Handler, Loader
from runqy_notebook.running import Report
from runqy_notebook.worker.inside import LENGTH
from runqy_notebook.worker.overheard import CHUNK, TICK, Overheard

_FAREWELL = 0.5  # seconds that an idle child gets to end by itself


class Child:
    """One process, until it ends. The thread that makes it must outlive it.

    Its stdin stays open until it ended: the end of it tells the child that the kernel died.
    `handlers` and `loaders` are those that it was sent.
    """

    def __init__(self, page: int | None) -> None:
        self.handlers: dict[bytes, Handler] = {}
        self.loaders: dict[Loader, int] = {}
        self.surroundings: object = None
        self.is_used = False
        self._process = subprocess.Popen(
            [sys.executable, "-m", "runqy_notebook.worker.inside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=() if page is None else (page,),
            start_new_session=True,  # an interrupt of the kernel is not meant for it
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        self._overheard = Overheard(self._process)
        self._sending = threading.Lock()
        self._received = bytearray()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def ask(
        self,
        requests: list[tuple[object, ...]],
        report: Report | None,
        began: Callable[[], object] = lambda: None,
    ) -> tuple[Any, ...] | None:
        """The answer to these requests; None where the child died instead. What it says before
        goes to the report; `began` is called when the handler is.
        """
        self.is_used = True
        self._overheard.report = report
        with contextlib.suppress(OSError), self._sending:  # it died before it had read all
            for request in requests:
                self._send(request)
        while (said := self._receive()) is not None:
            word, *rest = said
            if word == "began":
                began()
            elif word == "progress" and report is not None:
                report.progress(*rest)
            elif word == "show" and report is not None:
                report.show(*rest)
            elif isinstance(word, bool):  # whether the end of what it printed is marked
                if word:
                    self._overheard.catch_up()
                return tuple(rest)
        self._process.wait()
        return None

    def await_ready(self) -> None:
        """Returns when the child takes requests, or is dead."""
        self._receive()  # the only thing that it says unasked

    def tell_unwanted(self, *, is_cancelled: bool) -> None:
        """Tells the handler under way that its task is not wanted any more."""
        if self._sending.acquire(blocking=False):  # else it has not begun
            try:
                with contextlib.suppress(OSError, ValueError):
                    self._send(("unwanted", is_cancelled))
            finally:
                self._sending.release()

    def kill(self) -> None:
        """Ends it, and the programs that its handler started."""
        if os.name == "nt":
            self._process.kill()
            return
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def end(self, patience: float = 0.0) -> int:
        """Waits so long for it to end by itself, ends it otherwise; gives its exit code."""
        assert self._process.stdin is not None  # noqa: S101 - asked for
        assert self._process.stdout is not None  # noqa: S101 - asked for
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        self.kill()
        code = self._process.wait()
        self._process.stdout.close()
        self._overheard.join()
        return code

    def close(self) -> None:
        self.end(_FAREWELL)

    def _send(self, request: tuple[object, ...]) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for
        pickle.dump(request, self._process.stdin)
        self._process.stdin.flush()

    def _receive(self) -> tuple[Any, ...] | None:
        """What it says next; None where it died, perhaps within a word."""
        while True:
            if len(self._received) >= LENGTH.size:
                end = LENGTH.size + LENGTH.unpack_from(self._received)[0]
                if len(self._received) >= end:
                    words = pickle.loads(self._received[LENGTH.size : end])  # noqa: S301 - ours
                    del self._received[:end]
                    return words  # type: ignore[no-any-return]
            if not (chunk := self._read()):
                return None
            self._received += chunk

    def _read(self) -> bytes:
        """Some bytes; none where it is dead, though programs of its own may hold the pipe."""
        assert self._process.stdout is not None  # noqa: S101 - asked for
        fd = self._process.stdout.fileno()
        while os.name != "nt" and not select.select([fd], [], [], TICK)[0]:
            if not self.is_alive and not select.select([fd], [], [], 0)[0]:
                return b""
        return os.read(fd, CHUNK)
