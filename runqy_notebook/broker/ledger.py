"""What each slot is doing, on a page of memory shared with the guardian.

Writing here costs a microsecond and no round trip, so the guardian knows at any moment which tasks
had really started when the kernel died.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field

from runqy_notebook.broker.guardian import (
    APART,
    CLAIMED,
    FREE,
    HEADER,
    HEADER_SIZE,
    PAGE_SIZE,
    RECORD,
    RECORD_SIZE,
    SEQUENCE,
    SLOTS,
    STARTED,
    STATE_AT,
)
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import to_bytes


class Ledger:
    """The page. Slots take an entry each and write only there."""

    def __init__(self) -> None:
        self.fd = _memory_file()
        self._page = mmap.mmap(self.fd, PAGE_SIZE)
        self._free = list(range(SLOTS))
        self._lock = threading.Lock()

    def entry(self, slot: int) -> Entry:
        """A place for the slot of this number, counted from 1; where all are taken, one that
        records nothing.
        """
        with self._lock:
            entry = Entry(self, self._page, self._free.pop(0) if self._free else None, slot)
        entry.free()
        return entry

    def renewed(self) -> None:
        """Notes that the kernel itself just renewed its leases."""
        HEADER.pack_into(self._page, 0, time.monotonic())

    def give_back(self, number: int) -> None:
        with self._lock:
            self._free.append(number)

    def close(self) -> None:
        """Lets go of the memory; the guardian keeps its own hold on it."""
        self._page.close()
        os.close(self.fd)


@dataclass(slots=True)
class Entry:
    """The record of one slot."""

    ledger: Ledger
    _page: mmap.mmap
    _number: int | None
    _slot: int
    _sequence: int = field(default=0)
    _ends: float = field(default=0.0)  # what the record says, to be written again with a new state
    _lengths: tuple[int, int, int] = field(default=(0, 0, 0))
    _pid: int = field(default=0)

    def claimed(self, task: Task, ends: float) -> None:
        """The slot has this task, which may run until `ends` (by the monotonic clock)."""
        if self._number is None:
            return
        token, task_id = task.token, to_bytes(task.id)
        base = token.partition(b"|")[0]
        text = base + task_id + token
        self._ends, self._lengths = 0.0, (0, 0, 0)
        if len(text) > RECORD_SIZE - RECORD.size:
            self._put(FREE)
            return  # an id of a size that only its lease can cover
        self._sequence = self._next_sequence + 1  # odd: it is being written, leave it alone
        SEQUENCE.pack_into(self._page, self._at, self._sequence)
        start = self._at + RECORD.size
        self._page[start : start + len(text)] = text
        self._ends, self._lengths = ends, (len(base), len(task_id), len(token))
        self._put(CLAIMED)

    def calling(self) -> None:
        """The handler is called next, in this process: should it die now, this may be why."""
        self._mark(STARTED)

    @property
    def mark_of_a_child(self) -> tuple[int, int] | None:
        """The file and the place in it where a child that runs the task writes the state: APART
        before it calls the handler, CLAIMED after it. None where there is no guardian to read it.
        """
        if self._number is None or sys.platform == "win32":
            return None
        return self.ledger.fd, self._at + STATE_AT

    def lent(self, pid: int) -> None:
        """The task is given to this child to run."""
        self._mark(CLAIMED, pid)

    def died_apart(self) -> None:
        """The child died of the task, which is still to be written down."""
        self._mark(APART)

    def ended(self) -> None:
        """The handler returned; what became of the task is still to be written down."""
        self._mark(CLAIMED)

    def free(self) -> None:
        """The slot holds nothing."""
        self._mark(FREE)

    def give_back(self) -> None:
        """Another slot may have this record."""
        if self._number is not None:
            self._slot = 0
            self.free()
            self.ledger.give_back(self._number)
            self._number = None

    @property
    def _at(self) -> int:
        return HEADER_SIZE + (self._number or 0) * RECORD_SIZE

    def _mark(self, state: int, pid: int = 0) -> None:
        if self._number is None or self._page.closed:
            return
        if state == FREE or self._pid or pid:
            if state == FREE or any(self._lengths):
                self._put(state, pid)
        elif any(self._lengths):
            self._page[self._at + STATE_AT] = state  # as a child does

    @property
    def _next_sequence(self) -> int:
        return (self._sequence // 2 + 1) * 2 % 2**32

    def _put(self, state: int, pid: int = 0) -> None:
        """Writes the record's head."""
        self._sequence = self._next_sequence
        head = (self._sequence, state, self._slot, self._ends, pid, *self._lengths)
        RECORD.pack_into(self._page, self._at, *head)
        self._pid = pid


def _memory_file() -> int:
    """A file of the page's size that lives in memory only, or else unlinked on disk."""
    if sys.platform == "linux":
        fd = os.memfd_create("runqy-ledger", os.MFD_CLOEXEC)
    else:
        with tempfile.TemporaryFile() as file:
            fd = os.dup(file.fileno())
    os.truncate(fd, PAGE_SIZE)
    return fd
