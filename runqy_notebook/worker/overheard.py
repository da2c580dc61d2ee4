"""What a task says that runs in a process of its own: heard there, and told here."""

from __future__ import annotations

import codecs
import os
import pickle
import select
import subprocess
import threading
from collections.abc import Mapping
from typing import IO

from runqy_notebook.running import Report, reporting_task

_TICK = 0.2  # seconds between looks at whether a silent child still lives
_CHUNK = 2**16  # bytes


class Replies:
    """A handler's report in the child: its progress on the way that its answer takes, its lines
    with what it prints.
    """

    def __init__(self, replies: IO[bytes]) -> None:
        self._replies = replies
        self._lock = threading.Lock()

    def write(self, stream: str, text: str) -> None:
        print(text, end="", flush=True)

    def progress(self, done: float, total: float, note: str) -> None:
        with self._lock:
            pickle.dump(("progress", done, total, note), self._replies)
            self._replies.flush()

    def show(self, data: Mapping[str, str], display_id: str = "") -> None:
        print(data.get("text/plain", ""), flush=True)


def listen(child: subprocess.Popen[bytes]) -> threading.Thread:
    """Hands what the child prints to the calling task's report, until the child ends."""
    task = reporting_task()
    report = task.report if task is not None else None
    thread = threading.Thread(
        target=_listen, args=(child, report), name="runqy-overheard", daemon=True
    )
    thread.start()
    return thread


def _listen(child: subprocess.Popen[bytes], report: Report | None) -> None:
    assert child.stderr is not None  # noqa: S101 - asked for
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    with child.stderr as printed:
        while True:
            if os.name != "nt" and not select.select([printed], [], [], _TICK)[0]:
                if child.poll() is not None:
                    return  # who still holds the pipe is a child of the child
                continue
            chunk = os.read(printed.fileno(), _CHUNK)
            if not chunk:
                return
            if report is not None:
                report.write("stdout", decode(chunk))
