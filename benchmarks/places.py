"""Who runs on which core: the server on one, whoever talks to it on the others.

Else the system decides it from turn to turn, and so the result: on a virtual machine of two cores a
PING took 7 us where both shared a core and 80 us where they did not.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def keep_server(pid: int) -> None:
    """Keeps the server on the first core."""
    _keep(pid, _cores()[:1])


def keep_client(pid: int) -> None:
    """Keeps a process that was started just now on the others."""
    _keep(pid, _cores()[1:])


def told() -> str:
    """What a table is to say of it."""
    return "the server on a core of its own" if _cores() else "as the system decides"


def _cores() -> list[int]:
    """None where there is one only, or where processes cannot be placed."""
    find = getattr(os, "sched_getaffinity", None)
    cores = sorted(find(0)) if find else []
    return cores if len(cores) > 1 else []


def _keep(pid: int, cores: Iterable[int]) -> None:
    kept = set(cores)
    if kept:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), kept)
