"""What a process has open: it must not grow."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path
from typing import NamedTuple

from tests.chaos.fleet import children


class Holdings(NamedTuple):
    """What a process has open."""

    threads: int
    descriptors: int
    sockets: int
    children: int


def holdings() -> Holdings:
    """What this process has open now."""
    gc.collect()
    open_ones = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            open_ones.append(os.readlink(entry))
        except OSError:  # the descriptor of this very look
            continue
    with open("/tmp/holdlog.txt", "a") as f:
        f.write(repr((os.getpid(), sorted(open_ones))) + "\n")
    return Holdings(
        threading.active_count(),
        len(open_ones),
        sum(one.startswith("socket:") for one in open_ones),
        len(children(os.getpid())),
    )
