"""The slots of a worker: how many there are, who joins, who is given up."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from typing import Final

from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.leash import Ending
from runqy_notebook.worker.slots import Slot

MOST_ABANDONED: Final = 20
"""Handlers that never return and are made up for by fresh slots; further ones cost a slot each."""

MOST_ASIDE: Final = 20
"""Threads beside the slots for tasks that run apart; further such tasks take slots."""


class Crew:
    """As many slots as tasks run at a time; `make(number, errand)` makes one. Threads share it."""

    def __init__(self, make: Callable[[int, Task | None], Slot], concurrency: int) -> None:
        self.concurrency = concurrency
        self._make = make
        self._slots: list[Slot] = []
        self._zombies: list[Slot] = []
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._is_complete = False  # until then there is one slot, which runs the loaders
        self._is_closed = False

    @property
    def slots(self) -> list[Slot]:
        """The slots at work, those aside included."""
        with self._lock:
            return list(self._slots)

    @property
    def hanging(self) -> int:
        """How many handlers run on that were given up."""
        return sum(not slot.ended.is_set() for slot in self._zombies)

    def add(self) -> None:
        """One more slot."""
        self._start(None)

    def complete(self) -> None:
        """As many as there are to be, from now on."""
        self._is_complete = True
        self.resize(self.concurrency)

    def resize(self, concurrency: int) -> None:
        """So many from now on; slots too many end after their task."""
        self.concurrency = concurrency
        with self._lock:
            staying = [slot for slot in self._slots if not slot.is_leaving]
            for slot in staying[concurrency:]:
                slot.leave()
            self._fill()

    def set_aside(self, task: Task) -> bool:
        """Has a slot beside the others run this task only; whether there is room for it."""
        with self._lock:
            if self._is_closed or sum(slot.is_aside for slot in self._slots) >= MOST_ASIDE:
                return False
            self._start(task)
        return True

    def forget(self, slot: Slot) -> None:
        """Takes note that a slot's thread is over."""
        with self._lock:
            self._drop(slot)
            if slot.is_abandoned:
                self._fill()

    def replace(self, slot: Slot) -> None:
        """Gives a slot up whose handler does not return; a fresh one takes its place."""
        slot.is_abandoned = True
        slot.entry.give_back()
        if running := slot.running:
            running.leash.pull(Ending.LOST)
        with self._lock:
            self._drop(slot)
            self._zombies = [z for z in self._zombies if not z.ended.is_set()] + [slot]
            self._fill()

    def close(self) -> list[Slot]:
        """Nobody joins any more; the slots that are left."""
        with self._lock:
            self._is_closed = True
            return list(self._slots)

    def _fill(self) -> None:
        """Adds slots up to the concurrency, less what too many abandoned handlers cost."""
        if not self._is_complete:
            return
        missing = self.concurrency - sum(not slot.is_leaving for slot in self._slots)
        for _ in range(missing - max(0, self.hanging - MOST_ABANDONED)):
            self._start(None)

    def _start(self, errand: Task | None) -> None:
        with self._lock:
            if not self._is_closed:
                slot = self._make(next(self._numbers), errand)
                self._slots.append(slot)
                slot.start()

    def _drop(self, slot: Slot) -> None:
        if slot in self._slots:
            self._slots.remove(slot)
