"""What a worker's slots claim, and when they may not."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import Settled
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Outcome, Released
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.idle import Idle, Waits
from runqy_notebook.worker.loading import Here, Loading, Place
from runqy_notebook.worker.serving import Serving
from runqy_notebook.worker.settling import Settler

FAREWELL: Final = 1.0
"""Seconds that who stops waits for Redis beyond the time given to running tasks."""

_CALLS_IN: Final = 3  # attempts to call in the claim of a slot that ends
_PAUSES_WITHIN: Final = 1.0  # seconds that a pause waits for claims under way


class Claimant(Waits, Protocol):
    """A slot, as far as it concerns its claims."""

    number: int
    ahead: Ahead | None
    loop: SlotLoop

    @property
    def place(self) -> Place | None: ...


class Claims:
    """Every claim of a worker passes here. Closed at first: slots claim only once all loaders have
    run. Slots share it.
    """

    def __init__(
        self,
        settler: Settler,
        serving: Serving,
        loading: Loading,
        contexts: Contexts,
        idle: Idle,
        *,
        slots: Callable[[], Iterable[Claimant]],
        impatient: Callable[[float], Broker],
        on_batch: Callable[[], None],
    ) -> None:
        self.is_paused = False
        self._settler = settler
        self._serving = serving
        self._loading = loading
        self._contexts = contexts
        self._idle = idle
        self._slots = slots
        self._impatient = impatient
        self._on_batch = on_batch
        self._is_open = False
        self._under_way = 0
        self._lock = threading.Lock()

    # --- when -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Lets slots claim."""
        self._is_open = True

    def pause(self) -> None:
        """Claims nothing more until `resume`, and waits for claims under way: their tasks run."""
        with self._lock:
            self.is_paused = True
        self._idle.wake()  # a claim that waits for its task is called in
        gives_up_at = time.monotonic() + _PAUSES_WITHIN
        while self._is_any_under_way() and time.monotonic() < gives_up_at:
            time.sleep(0.001)

    def resume(self) -> None:
        """Claims again."""
        self.is_paused = False
        self._idle.wake()

    def claimable(self, slot: Claimant) -> tuple[str, ...]:
        """The queues to claim from, after running loaders that are new: none before a claim under
        way is called in, as they may take long.
        """
        if self._loading.is_waiting:
            if slot.ahead is not None:
                return ()
            self._idle.leave(slot)
            self._loading.prepare(slot.place or Here(self._contexts, slot.loop))
        return self._serving.claimable() if self._is_open and not self.is_paused else ()

    # --- what -----------------------------------------------------------------------------------

    def settle(
        self, slot: Claimant, outcomes: tuple[Outcome, ...], queues: tuple[str, ...], want: int
    ) -> Settled | None:
        """Writes a slot's outcomes down and claims; None once given up."""
        with self._lock:
            if self.is_paused:
                queues, want = (), 0
            ahead, slot.ahead = slot.ahead, None
            claims = want or int(ahead is not None)
            self._under_way += claims
        try:
            settled = self._settler.settle(str(slot.number), outcomes, queues, want, ahead)
            if ahead is not None and settled is not None and want and not settled.tasks:
                ahead.answer, slot.ahead = None, ahead  # it may yet take something
        except BaseException:
            if ahead is not None and not ahead.has_tasks:
                slot.ahead = ahead  # the same
            raise
        finally:
            with self._lock:
                self._under_way -= claims
        tasks = settled.tasks if settled else []
        for queue in {task.queue for task in tasks}:
            self._serving.took(queue)
        if len(tasks) > 1:
            self._on_batch()
        self._idle.claimed(slot, tasks)
        return settled

    def acknowledge(self, slot: Claimant, outcomes: tuple[Outcome, ...]) -> None:
        """Writes down what is done of a slot's batch, while it goes on with the rest."""
        self._settler.write_down(f"{slot.number}-part", outcomes)

    def wait(self, slot: Claimant, queues: tuple[str, ...], want: int) -> None:
        """Waits a while for something to claim, which the server does as soon as there is."""

        def prepare() -> Ahead | None:
            with self._lock:
                if not queues or self.is_paused:
                    return None
                slot.ahead = self._settler.ahead(str(slot.number), queues, want, slot.ahead)
                return slot.ahead

        self._idle.wait(slot, queues, prepare)

    def call_in(self, slot: Claimant) -> None:
        """Gives back what comes of a claim under way, for a slot that ends."""
        with self._lock:
            ahead, slot.ahead = slot.ahead, None
            if ahead is None:
                return
            self._under_way += 1
        farewell = self._impatient(FAREWELL / _CALLS_IN)
        try:
            for _ in range(_CALLS_IN):
                try:
                    self._settler.call_in(str(slot.number), ahead, farewell)
                    break
                except ConnectionFailedError:  # at last, what it took is redelivered by its lease
                    time.sleep(0.02)
        finally:
            farewell.close()
            with self._lock:
                self._under_way -= 1

    def sorted_out(self, slot: Claimant, tasks: Sequence[Task]) -> Sequence[Task]:
        """Those of the tasks of a claim that was sent before that may run now. The others are given
        back: a loader has come that is to run before them, or their queue is barred.
        """
        is_to_load = self._loading.is_waiting
        barred = self._serving.barred
        if not is_to_load and not barred:
            return tasks
        given_back = [task for task in tasks if is_to_load or task.queue in barred]
        if given_back:  # the last one first, so that the first is in front of the queue again
            self.acknowledge(slot, tuple(map(Released, reversed(given_back))))
        return [task for task in tasks if task not in given_back]

    def _is_any_under_way(self) -> bool:
        with self._lock:
            return self._under_way > 0 or any(slot.ahead for slot in self._slots())
