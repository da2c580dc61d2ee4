"""A slot: one thread that runs one task at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from runqy_notebook.broker.broker import Settled
from runqy_notebook.broker.ledger import Entry
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Outcome, Released
from runqy_notebook.worker.batch import WINDOW, Batch, Pace
from runqy_notebook.worker.contexts import SlotLoop
from runqy_notebook.worker.handling import Handling
from runqy_notebook.worker.run import Runner
from runqy_notebook.worker.starving import cpu_clock

_AFTER_A_FAULT = 1.0  # seconds that a slot rests after a fault of ours


class Work(Protocol):
    """What a slot asks of its worker."""

    runner: Runner
    handling: Handling

    def entry(self, slot: int) -> Entry: ...
    def claimable(self, slot: Slot) -> tuple[str, ...]: ...
    def settle(
        self, slot: Slot, outcomes: tuple[Outcome, ...], queues: tuple[str, ...], want: int
    ) -> Settled | None: ...
    def acknowledge(self, slot: Slot, outcomes: tuple[Outcome, ...]) -> None: ...
    def wait_for_work(self, slot: Slot, queues: Sequence[str]) -> None: ...
    def slot_ended(self, slot: Slot) -> None: ...
    def fault(self, error: BaseException) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """A task under way. `since` and `ends` are by the monotonic clock, in seconds; `cancel` is set
    once the handler is to end.
    """

    task: Task
    since: float
    ends: float
    cancel: threading.Event = field(default_factory=threading.Event)  # set: it is to end itself


class Slot:
    """Runs tasks until told to leave.

    *Leaving* it ends after its present task; *abandoned* it is given up at once: its thread cannot
    be ended, so what its handler still returns is thrown away.
    """

    def __init__(self, number: int, work: Work) -> None:
        self.number = number
        self.running: Running | None = None
        self.is_abandoned = False
        self.ended = threading.Event()
        self.cpu_clock: int | None = None  # of its thread, where the system has such clocks
        self.loop = SlotLoop()
        self.entry = work.entry(number)
        self.batch = Batch()
        self._pace = Pace()
        self._leaving = threading.Event()
        self._work = work
        self._thread = threading.Thread(target=self._live, name=f"runqy-slot-{number}", daemon=True)

    @property
    def is_leaving(self) -> bool:
        return self._leaving.is_set()

    @property
    def busy_since(self) -> float | None:
        """Since when the present task runs, by the monotonic clock."""
        running = self.running
        return running.since if running else None

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """Has the slot end after its present task."""
        self._leaving.set()

    def join(self, seconds: float) -> None:
        """Waits for the thread's very end, once it has said that it ended."""
        # Ctrl-C within Thread.join marks a live thread as dead (CPython <= 3.12), so wait first.
        if self.ended.wait(seconds) and threading.current_thread() is not self._thread:
            self._thread.join()

    def _live(self) -> None:
        outcomes: tuple[Outcome, ...] = ()
        self.cpu_clock = cpu_clock()
        while not self.is_abandoned and (outcomes or not self.is_leaving):
            try:
                outcomes = self._step(outcomes)
            except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
                outcomes = ()  # what was held is redelivered after its lease
                self._work.fault(error)
                self._leaving.wait(_AFTER_A_FAULT)
        try:
            self.loop.close()
        except BaseException as error:  # noqa: BLE001 - what a handler left on its loop
            self._work.fault(error)
        self.entry.give_back()
        self.ended.set()
        self._work.slot_ended(self)

    def _step(self, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
        """Writes outcomes down, claims and runs the next task, or waits; gives new outcomes."""
        queues = () if self.is_leaving else self._work.claimable(self)
        if not outcomes and not queues:
            self._work.wait_for_work(self, queues)
            return ()
        settled = self._work.settle(self, outcomes, queues, want=self._pace.size if queues else 0)
        if not settled or not settled.tasks:
            self.entry.free()
        if settled is None:  # the worker has given up
            return ()
        if settled.tasks:
            return self._run_all(settled.tasks)
        if not self.is_leaving:
            self._work.wait_for_work(self, queues)
        return ()

    def _run_all(self, tasks: Sequence[Task]) -> tuple[Outcome, ...]:
        """Runs these tasks; gives the outcomes that are not written down yet."""
        self.batch.load(tasks)
        began = acknowledged = time.monotonic()
        while not self.is_abandoned and (task := self.batch.next()) is not None:
            self.batch.add(self._run(task))
            now = time.monotonic()
            if now - acknowledged >= WINDOW and self.batch.has_ahead:
                self._work.acknowledge(self, self.batch.take_done())
                acknowledged = time.monotonic()
        self._pace.ran(len(tasks), time.monotonic() - began)
        return self.batch.take_done()

    def _run(self, task: Task) -> Outcome:
        if self.is_leaving:  # claimed at the last moment
            return Released(task)
        now = time.monotonic()
        # A task that was lost before waits for its turn to run apart, where its time is kept.
        limit = float("inf") if task.crashes else self._work.runner.timeout(task)
        running = self.running = Running(task, now, now + limit)

        def is_cancelled() -> bool:
            return running.cancel.is_set() or self.is_abandoned or self.is_leaving

        # A task that was lost before runs in a process of its own: it cannot kill this one.
        self.entry.started(task, self.running.ends, may_kill=not task.crashes)
        try:
            with self._work.handling.of(task, is_cancelled):
                return self._work.runner.run(task, self.loop)
        finally:
            self.entry.ended()
            self.running = None
