"""What really happened: a log beside the queue, which no fault of the queue can touch.

Handlers append a line when they start and when they end, before the queue is told. One small
O_APPEND write a line: lines of several processes never mix, and `kill -9` leaves whole lines. It
keeps the GIL, so that no neighbour in the process can kill it between a handler's first
instruction and its line.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections import Counter
from functools import cache
from pathlib import Path
from typing import NamedTuple

VARIABLE = "RUNQY_CHAOS_JOURNAL"
"""Where a worker process is told the journal's path."""


class Event(NamedTuple):
    """`at` is by the monotonic clock, which all processes of a machine share."""

    what: str  # ready, put, due, start, end
    id: str
    pid: int
    at: float


def note(what: str, task_id: str, *, later: float = 0.0) -> None:
    """Writes an event of this process down: what is so now, or in so many seconds."""
    line = f"{what} {task_id} {os.getpid()} {time.monotonic() + later:.6f}\n"
    written = _KEEPING_THE_GIL.write(_log(os.environ[VARIABLE]), line.encode(), len(line))
    assert written == len(line)


_KEEPING_THE_GIL = ctypes.PyDLL(None)


@cache
def _log(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def is_first_time(task_id: str) -> bool:
    """Whether no process has asked this about this task before."""
    marker = Path(os.environ[VARIABLE] + ".seen", task_id)
    marker.parent.mkdir(exist_ok=True)
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Journal:
    """Reads the log. Each look takes in what was written since the last one."""

    def __init__(self, path: Path) -> None:
        path.touch()
        self.path = path
        self._events: list[Event] = []
        self._read = 0
        self._counts: dict[str, Counter[str]] = {}

    @property
    def events(self) -> list[Event]:
        """All events so far, as they were written."""
        with self.path.open("rb") as log:
            log.seek(self._read)
            fresh = log.read()
        whole = fresh[: fresh.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            what, task_id, pid, at = line.split()
            self._events.append(Event(what, task_id, int(pid), float(at)))
            self._counts.setdefault(what, Counter())[task_id] += 1
        return self._events

    def of(self, what: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if event.what == what]

    def times(self, what: str) -> Counter[str]:
        """How often this happened to each task."""
        assert self.events is not None
        return self._counts.setdefault(what, Counter())

    def first(self, what: str, task_id: str) -> Event:
        """The first event of this kind of a task."""
        return next(event for event in self.events if event[:2] == (what, task_id))

    def extra(self, what: str) -> int:
        """How many events of this kind there are beyond one a task."""
        return sum(count - 1 for count in self.times(what).values())

    @property
    def overlaps(self) -> int:
        """How many runs of a task began while another run of it went on that came to its end."""
        starts, overlaps = self.of("start"), 0
        ends = {event[1:3]: event.at for event in self.of("end")}
        runs = [(one, ends[one[1:3]]) for one in starts if one[1:3] in ends]
        for run, ended_at in runs:
            overlaps += sum(
                other.id == run.id and other.pid != run.pid and run.at < other.at < ended_at
                for other in starts
            )
        return overlaps
