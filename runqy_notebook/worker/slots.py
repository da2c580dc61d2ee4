"""A slot: one thread that runs one task at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runqy_notebook.broker.broker import Settled
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.worker.contexts import SlotLoop
from runqy_notebook.worker.run import Runner


class Work(Protocol):
    """What a slot asks of its worker."""

    runner: Runner

    def claimable(self, slot: Slot) -> tuple[str, ...]: ...
    def settle(
        self, slot: Slot, outcomes: tuple[Outcome, ...], queues: tuple[str, ...], want: int
    ) -> Settled | None: ...
    def wait_for_work(self, slot: Slot, queues: Sequence[str]) -> None: ...
    def slot_ended(self, slot: Slot) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """A task under way. `since` and `ends` are by the monotonic clock, in seconds."""

    task: Task
    since: float
    ends: float


class Slot:
    """Runs tasks until told to leave.

    *Leaving* it ends after its present task; *abandoned* it is given up at once: its thread cannot
    be ended, so what its handler still returns is thrown away.
    """

    def __init__(self, number: int, work: Work) -> None:
        self.number = number
        self.running: Running | None = None
        self.is_leaving = False
        self.is_abandoned = False
        self.ended = threading.Event()
        self._work = work
        self._loop = SlotLoop()
        self._thread = threading.Thread(target=self._live, name=f"runqy-slot-{number}", daemon=True)

    @property
    def loop(self) -> SlotLoop:
        return self._loop

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Waits for the thread's very end, once it has said that it ended."""
        # Ctrl-C within Thread.join marks a live thread as dead (CPython <= 3.12), so wait first.
        if self.ended.wait(seconds) and threading.current_thread() is not self._thread:
            self._thread.join()

    def _live(self) -> None:
        try:
            self._claim_and_run()
        finally:
            self._loop.close()
            self.ended.set()
            self._work.slot_ended(self)

    def _claim_and_run(self) -> None:
        outcomes: tuple[Outcome, ...] = ()
        while not self.is_abandoned:
            queues = () if self.is_leaving else self._work.claimable(self)
            if self.is_leaving and not outcomes:
                return
            if not outcomes and not queues:
                self._work.wait_for_work(self, queues)
                continue
            settled = self._work.settle(self, outcomes, queues, want=1 if queues else 0)
            if settled is None:
                return
            outcomes = tuple(self._run(task) for task in settled.tasks)
            if not outcomes and not self.is_leaving:
                self._work.wait_for_work(self, queues)

    def _run(self, task: Task) -> Outcome:
        now = time.monotonic()
        self.running = Running(task, now, now + self._work.runner.timeout(task))
        try:
            return self._work.runner.run(task, self._loop)
        finally:
            self.running = None
