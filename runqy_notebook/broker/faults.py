"""What a lesson does to a Redis to show that nothing is lost: it freezes the embedded server for a
moment, or pushes an id that no task has.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from runqy_notebook.broker import embedded, freezer
from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.server import Server
from runqy_notebook.wire.layout import DOCUMENTED, Layout

LONGEST: Final = 20.0  # seconds


def push_orphan(server: Server, queue: str, layout: Layout = DOCUMENTED) -> str:
    """Puts an id without a task hash into the queue, as a producer does that dies half-way; gives
    the id. Raises ConnectionFailedError.
    """
    task_id = f"orphan-{secrets.token_hex(3)}"
    with explained(server.where):
        server.client.lpush(layout.queue(queue).pending, task_id)
    return task_id


def why_not(server: Server) -> str:
    """Why this server cannot be frozen; empty where it can."""
    if server.state_dir is None:
        return "only the embedded server is ours to freeze; this one may serve others"
    if embedded.running_pid(server.state_dir) is None:
        return "the embedded server's process is not found"
    return ""


def freeze(server: Server, seconds: float, wait: Callable[[float], object]) -> None:
    """Stops the embedded server for so many seconds; `wait` is called with them meanwhile. It goes
    on also where this process dies.
    """
    state_dir = server.state_dir
    pid = embedded.running_pid(state_dir) if state_dir else None
    if pid is None:
        return
    process = subprocess.Popen(
        [
            sys.executable,
            "-I",
            "-S",
            str(Path(freezer.__file__)),
            str(pid),
            str(min(seconds, LONGEST)),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None  # noqa: S101 - asked for
    try:
        process.stdout.readline()
        wait(seconds)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5.0)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        if state_dir and embedded.running_pid(state_dir) == pid:  # should it have been killed
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)
