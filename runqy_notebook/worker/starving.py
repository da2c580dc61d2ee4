"""Handlers that keep the whole process waiting, found out by their threads' clocks.

Python lets one thread run at a time. A handler that computes in Python gives way every so often,
but one in a call that holds the interpreter's lock (a C extension that does not release it, a
huge regular expression, a sort of a large list) stops cells, leases and heartbeats alike.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from runqy_notebook.errors import one_line
from runqy_notebook.registry import Registry
from runqy_notebook.wire.documented import Task

LATE = 1.0
"""Seconds by which the pulse must be late. Short waits happen on any busy machine."""

TICK = 0.25  # seconds between two beats of the pulse

_SHARE = 0.2  # of that time that its thread must have computed: a stopped machine computes nothing


class Running(Protocol):
    """A task under way."""

    @property
    def task(self) -> Task: ...
    @property
    def since(self) -> float: ...


class Slot(Protocol):
    """A slot, as far as it concerns us. `latest` is the task that it runs, or the last that it ran:
    the handler that held everything up may be done by the time we look.
    """

    cpu_clock: int | None

    @property
    def latest(self) -> Running | None: ...


class Starvation:
    """Tells which handler kept everything else waiting, once each handler. Its pulse is a thread
    that does nothing but wake: one that also asks Redis could be late for other reasons.
    """

    def __init__(
        self,
        registry: Registry,
        slots: Callable[[], Iterable[Slot]],
        notice: Callable[[str], None],
    ) -> None:
        self.longest: dict[str, float] = {}  # seconds, by handler
        self._registry = registry
        self._slots = slots
        self._notice = notice
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="runqy-pulse", daemon=True)
        self._clocks: dict[Slot, float] = {}  # seconds of CPU at the last look

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Ends the thread, waiting at most so long for it."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _beat(self) -> None:
        asleep_since = time.monotonic()
        while not self._stopping.wait(TICK):
            now = time.monotonic()
            self.look(now - asleep_since - TICK, self._slots(), now)
            asleep_since = time.monotonic()

    def look(self, late: float, slots: Iterable[Slot], now: float) -> None:
        """One look, `late` seconds after its time."""
        busy = [(slot, running) for slot in slots if (running := slot.latest) is not None]
        clocks = {slot: cpu_seconds(slot.cpu_clock) for slot, _ in busy}
        if late >= LATE:
            for slot, running in busy:
                used = clocks[slot] - self._clocks.get(slot, 0.0)
                if slot.cpu_clock is None:  # then only a single task can be blamed
                    is_it = len(busy) == 1 and now - running.since >= late
                else:
                    is_it = used >= _SHARE * late
                if is_it:
                    self._blame(running.task, late)
        self._clocks = clocks

    def _blame(self, task: Task, seconds: float) -> None:
        handler = self._registry.handler_for(task.queue, task.type)
        name = handler.name if handler else task.queue
        is_news = name not in self.longest
        self.longest[name] = max(seconds, self.longest.get(name, 0.0))
        if is_news:
            self._notice(
                f"The handler {one_line(name, 80)!r} (task {one_line(task.id, 80)}) held Python's "
                f"lock for {seconds:.1f} s: nothing else in this process could run, cells "
                "included. Start the worker with --executor process, or save the handler to a "
                f"file and run python -m runqy_notebook work FILE {task.queue}."
            )


def cpu_clock() -> int | None:
    """The clock of the calling thread's CPU time, for other threads to read."""
    find = getattr(time, "pthread_getcpuclockid", None)
    return None if find is None else int(find(threading.get_ident()))


def cpu_seconds(clock: int | None) -> float:
    """What it shows; 0 where there is none, or its thread is gone."""
    if clock is None:
        return 0.0
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0
