"""Stops a process for some seconds, then has it go on: `python -I -S freezer.py PID SECONDS`.

A process of its own, in a session of its own, so that the stopped one goes on whatever becomes of
whoever asked. Says "frozen" once it is.
"""

from __future__ import annotations

import os
import signal
import sys
import time


def main(pid: int, seconds: float) -> None:
    """Never leaves the process stopped, but by being killed itself."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    ends = time.monotonic() + seconds
    try:
        os.kill(pid, signal.SIGSTOP)
        os.write(1, b"frozen\n")
        while time.monotonic() < ends:
            time.sleep(max(0.0, ends - time.monotonic()))
    finally:
        os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
