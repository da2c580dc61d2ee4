"""Idle slots: one of them watches the queues, the others wait for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.waiter import POLL, Waiter
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.serving import Serving

MUTED_FOR = 1.0
"""Seconds for which a queue that woke us for nothing (paused, emptied by another worker, full of
ids that cannot run) is polled instead of watched: watching it on would spin."""

MUTED_AFTER = 2  # wakes in vain in a row; one may be a stale answer

LONGEST = 1.0  # seconds that a watch takes at most

_WATCHING = "watching for tasks"  # as a source of outages


class Waits(Protocol):
    """A slot, as far as it concerns us. It is told to leave first and woken then."""

    @property
    def is_leaving(self) -> bool: ...


class Idle:
    """Leader and followers: the leader itself claims what it saw, so that a task reaches a waiting
    slot without a hand-over between threads; once it found something a follower leads on. So only
    one idle slot at a time asks the server for anything.
    """

    def __init__(self, waiter: Waiter, serving: Serving, outage: Outage) -> None:
        self._waiter = waiter
        self._serving = serving
        self._outage = outage
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)  # entered by its lock, which is quicker
        self._leader: Waits | None = None
        self._wakes = 0
        self._is_closing = False
        # What follows is the leader's.
        self._watched: frozenset[str] = frozenset()  # read by others too
        self._woken_by: str | None = None
        self._in_vain: dict[str, int] = {}  # wakes in a row after which nothing could be claimed
        self._muted: dict[str, float] = {}

    def wait(self, slot: Waits, queues: Sequence[str], prepare: Callable[[], Ahead | None]) -> None:
        """Returns when there may be something to claim from these queues, or after a while.
        `prepare` gives the claim that the server is to run as soon as there is.
        """
        if not self._leads(slot):
            return
        try:
            self._woken_by = self._watch(queues, prepare())
            self._outage.succeeded(_WATCHING)
        except ConnectionFailedError as error:
            self._outage.failed(error, _WATCHING)
            self._outage.hold_off()

    def claimed(self, slot: Waits, tasks: Sequence[Task]) -> None:
        """Tells what the claim after `wait` gave: a slot that found a task leads no more."""
        if self._leader is not slot:
            return
        woken_by, self._woken_by = self._woken_by, None
        if tasks:
            self._in_vain.clear()
            if woken_by is None:
                self._waiter.outrun(task.id for task in tasks)
            self.leave(slot)
        elif woken_by is not None:
            self._in_vain[woken_by] = self._in_vain.get(woken_by, 0) + 1
            if self._in_vain[woken_by] >= MUTED_AFTER:
                self._muted[woken_by] = time.monotonic() + MUTED_FOR

    def leave(self, slot: Waits) -> None:
        """Lets another slot lead."""
        with self._lock:
            if self._leader is not slot:
                return
            self._leader = None
            self._turn.notify()
            if self._is_closing:
                self._waiter.close()

    def expect(self, queue: str) -> None:
        """A task for this queue was sent by this process: the leader claims it as soon as it is
        there, instead of waiting to be told by the server, unless the server claims it for us.
        """
        if queue in self._watched and self._waiter.is_claiming(queue):
            self._waiter.stay_awake()
        elif queue in self._watched:
            self._watched = frozenset()
            self._waiter.wake()

    def wake(self) -> None:
        """Ends the present waits."""
        with self._lock:
            self._wakes += 1
            self._turn.notify_all()
        self._waiter.wake()

    def close(self) -> None:
        """Ends the waits for good, and the connections; the leader closes what it uses itself."""
        with self._lock:
            self._is_closing = True
            if self._leader is None:
                self._waiter.close()
        self.wake()

    def _leads(self, slot: Waits) -> bool:
        """Waits for the lead, or for a wake; whether `slot` leads now."""
        with self._lock:
            wakes = self._wakes
            self._turn.wait_for(
                lambda: (
                    self._leader in (None, slot)
                    or self._wakes != wakes
                    or slot.is_leaving
                    or self._is_closing
                )
            )
            if self._leader not in (None, slot) or slot.is_leaving or self._is_closing:
                return False
            self._leader = slot
            return True

    def _watch(self, queues: Sequence[str], ahead: Ahead | None) -> str | None:
        now = time.monotonic()
        self._muted = {queue: until for queue, until in self._muted.items() if until > now}
        wanted = set(queues).difference(self._muted)
        watched = [queue for queue in self._serving.watched if queue in wanted]
        self._watched = frozenset(watched)
        try:
            longest = POLL if self._muted or not queues else LONGEST
            return self._waiter.wait(watched, longest, ahead)
        finally:
            self._watched = frozenset()
