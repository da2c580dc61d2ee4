"""A slot: one thread that runs one task at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.ledger import Entry
from runqy_notebook.running import CancelledTaskError
from runqy_notebook.tasks import Handler, Loader
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Crashed, Outcome, Released
from runqy_notebook.worker.batch import WINDOW, Batch, Pace
from runqy_notebook.worker.claims import Claims
from runqy_notebook.worker.contexts import SlotLoop
from runqy_notebook.worker.courtesy import courtesy_to
from runqy_notebook.worker.handling import Handling
from runqy_notebook.worker.leash import Leash
from runqy_notebook.worker.run import Away, Run, Runner
from runqy_notebook.worker.starving import cpu_clock
from runqy_notebook.worker.turns import ShortTurns

_AFTER_A_FAULT = 1.0  # seconds that a slot rests after a fault of ours


class Work(Protocol):
    """What a slot asks of its worker."""

    claims: Claims
    runner: Runner
    handling: Handling
    switch_interval: float  # seconds

    def entry(self, slot: int) -> Entry: ...
    def place(self, slot: Slot) -> Elsewhere | None: ...
    def set_aside(self, task: Task) -> bool: ...
    def slot_ended(self, slot: Slot) -> None: ...
    def fault(self, error: BaseException) -> None: ...


class Running(NamedTuple):
    """A task under way. `since` and `ends` are by the monotonic clock, in seconds."""

    task: Task
    since: float
    ends: float
    leash: Leash


class Elsewhere(Away, Protocol):
    """Where a slot's handlers run, if not in its thread. Used by that thread, but for
    `tell_unwanted`.
    """

    def start(self) -> None: ...
    def load(self, loader: Loader) -> object: ...
    def check(self, handler: Handler) -> None: ...
    def tell_unwanted(self) -> None: ...
    def close(self) -> None: ...


class Slot:
    """Runs tasks until told to leave.

    *Leaving* it ends after its present task; *abandoned* it is given up at once: its thread cannot
    be ended, so what its handler still returns is thrown away. One with an `errand` runs that task
    only: a task that runs apart, and waits for its turn there, costs no other its slot.
    """

    def __init__(self, number: int, work: Work, errand: Task | None = None) -> None:
        self.number = number
        self.running: Running | None = None
        self.latest: Running | None = None  # that one, or the last one
        self.is_leaving = False
        self.is_abandoned = False
        self.ended = threading.Event()
        self.cpu_clock: int | None = None  # of its thread, where the system has such clocks
        self.loop = SlotLoop()
        self.entry = work.entry(number)
        self.place = None if errand else work.place(self)
        self.batch = Batch()
        self.ahead: Ahead | None = None  # the claim under way while it waits
        self._pace = Pace()
        self.is_aside = errand is not None
        self._leaving = threading.Event()  # for who sleeps; the flag is for who looks often
        self._work = work
        self._turns = ShortTurns(work.switch_interval)
        self._courtesy = courtesy_to(threading.main_thread())
        self._errand = self._take(errand) if errand else None
        if errand:
            self.leave()
        self._thread = threading.Thread(target=self._live, name=f"runqy-slot-{number}", daemon=True)

    @property
    def busy_since(self) -> float | None:
        """Since when the present task runs, by the monotonic clock."""
        running = self.running
        return running.since if running else None

    def start(self) -> None:
        self._thread.start()

    def leave(self) -> None:
        """Has the slot end after its present task."""
        self.is_leaving = True
        self._leaving.set()
        if self.place is not None:
            self.place.tell_unwanted()

    def join(self, seconds: float) -> None:
        """Waits for the thread's very end, once it has said that it ended."""
        # Ctrl-C within Thread.join marks a live thread as dead (CPython <= 3.12), so wait first.
        if self.ended.wait(seconds) and threading.current_thread() is not self._thread:
            self._thread.join()

    def _live(self) -> None:
        outcomes: tuple[Outcome, ...] = ()
        self.cpu_clock = cpu_clock()
        if self.place is not None:
            self._guarded(self.place.start)
        if self._errand:
            outcomes = (self._run(self._errand),)
        while not self.is_abandoned and (outcomes or not self.is_leaving):
            try:
                outcomes = self._step(outcomes)
            except Exception as error:  # noqa: BLE001 - a thread's edge: report, carry on
                outcomes = ()  # what was held is redelivered after its lease
                self._turns.end()
                self._work.fault(error)
                self._leaving.wait(_AFTER_A_FAULT)
        self._guarded(partial(self._work.claims.call_in, self))
        if self.place is not None:
            self._guarded(self.place.close)
        self._turns.end()
        self._guarded(self.loop.close)  # with what a handler left there
        self.entry.give_back()
        self.ended.set()
        self._work.slot_ended(self)

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - the slot goes on
            self._work.fault(error)

    def _step(self, outcomes: tuple[Outcome, ...]) -> tuple[Outcome, ...]:
        """Writes outcomes down, claims and runs the next task, or waits; gives new outcomes."""
        ahead = self.ahead
        has_tasks = ahead is not None and ahead.has_tasks
        queues = () if self.is_leaving or has_tasks else self._work.claims.claimable(self)
        if ahead is not None and not ahead.queues.issubset(queues):
            queues = ()  # it is called in, as it may take what is not to be taken any more
        elif not outcomes and not queues:
            self._wait(queues)
            return ()
        want = self._pace.size if queues else 0
        settled = self._work.claims.settle(self, outcomes, queues, want)
        if settled is None:  # the worker has given up
            self.entry.free()
            return ()
        if settled.tasks:
            tasks = self._work.claims.sorted_out(self, settled.tasks) if ahead else settled.tasks
            return self._run_all([task for task in tasks if not self._is_set_aside(task)])
        self.entry.free()
        if not self.is_leaving:
            self._wait(queues)
        return ()

    def _wait(self, queues: tuple[str, ...]) -> None:
        self._turns.end()
        self._work.claims.wait(self, queues, self._pace.size)

    def _run_all(self, tasks: Sequence[Task]) -> tuple[Outcome, ...]:
        """Runs these tasks; gives the outcomes that are not written down yet."""
        self.batch.load(tasks)
        began = acknowledged = time.monotonic()
        while not self.is_abandoned and (task := self.batch.next()) is not None:
            outcome = self._outcome(task)
            self.batch.add(outcome)
            now = time.monotonic()
            is_urgent = now - acknowledged >= WINDOW or isinstance(outcome, Crashed)
            if is_urgent and self.batch.has_ahead:
                self._work.claims.acknowledge(self, self.batch.take_done())
                acknowledged = time.monotonic()
            if self._courtesy is not None and self.batch.has_ahead:  # or who waits would wait on
                began += self._courtesy.give_way(now)
        if not tasks:
            self.entry.free()
        self._pace.ran(len(tasks), time.monotonic() - began)
        return self.batch.finish()

    def _is_set_aside(self, task: Task) -> bool:
        return task.is_suspect and not self.is_leaving and self._work.set_aside(task)

    def _outcome(self, task: Task) -> Outcome:
        if self.is_leaving:  # claimed at the last moment
            return Released(task)
        return self._run(self._take(task))

    def _take(self, task: Task) -> Running:
        now = time.monotonic()
        # A suspect waits for its turn to run apart; its time is kept there, as it is elsewhere.
        is_kept = task.is_suspect or self.place is not None
        limit = float("inf") if is_kept else self._work.runner.timeout(task)
        self.running = self.latest = Running(task, now, now + limit, Leash())
        self.entry.claimed(task, self.running.ends)
        return self.running

    def _run(self, running: Running) -> Outcome:
        self._turns.begin()
        run = Run(running.task, self.loop, running.leash, self.entry, self.place)

        def is_cancelled() -> bool:
            return running.leash.is_pulled or self.is_abandoned or self.is_leaving

        try:
            with self._work.handling.of(running.task, is_cancelled):
                outcome = self._work.runner.run(run)
        finally:
            self.running = None
        if self.is_leaving and isinstance(getattr(outcome, "cause", None), CancelledTaskError):
            outcome = Released(running.task)  # it was told that we stop, and made room
        if not isinstance(outcome, Crashed):  # of that the record tells until Redis does
            self.entry.ended()
        return outcome
