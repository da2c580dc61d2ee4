"""Processes whose wall clock is wrong, while their monotonic clock is right.

By libfaketime where it is installed (Debian: `apt install faketime`), which shifts the clock for
every library of the process; else by shifting Python's `time.time`.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path

_SHIFT = "RUNQY_CHAOS_CLOCK"
_LIBRARY = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)

METHOD = "libfaketime" if _LIBRARY else "time.time shifted"


def skewed(seconds: int) -> dict[str, str]:
    """The environment of a process whose clock is so many seconds ahead."""
    if seconds == 0:
        return {}
    if _LIBRARY is None:
        return {_SHIFT: str(seconds)}
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME": f"{seconds:+d}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def shift_if_asked() -> None:
    """Shifts this process's `time.time` where its environment asks for it, and mends `time.sleep`
    under libfaketime: 0.9.10 breaks the clock_nanosleep that Python uses for it since 3.11.
    """
    if str(_LIBRARY) in os.environ.get("LD_PRELOAD", ""):
        time.sleep = lambda seconds: select.select([], [], [], seconds) and None
    seconds = int(os.environ.get(_SHIFT, 0))
    if seconds:
        right, right_ns = time.time, time.time_ns
        time.time = lambda: right() + seconds
        time.time_ns = lambda: right_ns() + seconds * 10**9
