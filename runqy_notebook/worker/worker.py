"""The in-kernel worker: slots that run tasks, a keeper that looks after them."""

from __future__ import annotations

import itertools
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from runqy_notebook.broker.broker import Broker, Settled
from runqy_notebook.broker.waiter import Waiter
from runqy_notebook.errors import ConnectionFailedError, LoadError, one_line
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import REGISTRY, Registry
from runqy_notebook.wire.outcomes import Outcome, Released
from runqy_notebook.worker.chores import Chores
from runqy_notebook.worker.contexts import Contexts
from runqy_notebook.worker.idle import Idle
from runqy_notebook.worker.keeper import Keeper
from runqy_notebook.worker.loading import Loading
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.run import Runner
from runqy_notebook.worker.serving import Serving
from runqy_notebook.worker.settling import Settler
from runqy_notebook.worker.slots import Running, Slot


@dataclass(frozen=True, slots=True)
class Stopped:
    """What a stop left behind: tasks given back although their handlers were still running."""

    released: tuple[str, ...]

    def __str__(self) -> str:
        if not self.released:
            return "Worker stopped; nothing was left running."
        return (
            f"Worker stopped. {len(self.released)} task(s) were still running and went back to "
            f"their queue; they may run twice: {', '.join(map(one_line, self.released[:10]))}."
        )


@dataclass(frozen=True, slots=True)
class Status:
    """A worker at one moment. `running` maps task ids to the seconds they have run."""

    id: str
    names: list[str]
    queues: list[str]
    without_handler: list[str]
    concurrency: int
    is_paused: bool
    is_healthy: bool
    completed: int
    failed: int
    abandoned: int
    running: dict[str, float]


class Worker:
    """Serves queues on daemon threads of this process. Made by a session; `start` it once."""

    def __init__(
        self,
        broker: Broker,
        names: Sequence[str],
        settings: Settings,
        *,
        registry: Registry = REGISTRY,
        priorities: Mapping[str, int] | None = None,
        on_outcome: Callable[[Outcome], None] = lambda outcome: None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        host = socket.gethostname().replace("/", "-").replace("|", "-")
        self.id = f"{host}:{os.getpid()}:{secrets.token_hex(3)}"
        self.settings = settings
        self.concurrency = settings.concurrency
        self.is_paused = False
        self.notices: deque[str] = deque(maxlen=100)
        self.serving = Serving(names, registry, settings.separator, priorities)
        self._on_notice = on_notice
        contexts = Contexts()
        self.runner = Runner(registry, contexts, settings, self.notice)
        self._loading = Loading(registry, contexts, self.serving, self.notice)
        self._outage = Outage(self.notice)
        self.settler = Settler(
            broker, self.id, settings.lease, self._outage, on_outcome=on_outcome, notice=self.notice
        )
        self._idle = Idle(
            Waiter(broker.client, broker.where, broker.layout), self.serving, self._outage
        )
        self._broker = broker
        self._chores = Chores(self, broker, self.notice)
        self._keeper = Keeper(self._chores.all(), self._outage.failed, self._fault)
        self._slots: list[Slot] = []
        self._zombies: list[Slot] = []
        self._slot_numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._is_open = False  # slots claim only once every loader has been run

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs the loaders and begins to serve.

        Raises LoadError when a @load function raises, ConnectionFailedError; nothing runs then.
        """
        try:
            self._announce()
            self._add_slot()
            while not self._loading.done.wait(0.1):
                pass  # in short waits, so that an interrupt of the cell gets through
            for failure in self._loading.failures.values():
                name, told = failure.loader.name, failure.traceback_text
                raise LoadError(name, failure.error, told) from failure.error
            self._is_open = True
            self.resize(self.concurrency)
            self._chores.beat(0)
        except BaseException:
            self.stop(0)
            raise
        self._keeper.start()

    def stop(self, seconds: float | None = None) -> Stopped:
        """Lets running tasks end for at most `seconds`, then gives them back to their queues."""
        ends = time.monotonic() + (self.settings.shutdown_timeout if seconds is None else seconds)
        slots = list(self._slots)
        for slot in slots:
            slot.is_leaving = True
        self._idle.wake()
        for slot in slots:
            while not slot.ended.is_set() and (left := ends - time.monotonic()) > 0:
                slot.ended.wait(min(0.1, left))
        released = self._release(slots)
        self.settler.give_up()
        self._keeper.stop()
        self._idle.close()
        for slot in slots:
            if not slot.is_abandoned:
                slot.join(1.0)
        self._chores.end()
        return Stopped(tuple(released))

    def serve(self, names: Sequence[str]) -> None:
        """Serves further queues from now on."""
        self.serving.add(names)
        self._announce()
        self._idle.wake()

    def resize(self, concurrency: int) -> None:
        """Runs so many tasks at a time from now on; slots too many end after their task."""
        self.concurrency = concurrency
        with self._lock:
            staying = [slot for slot in self._slots if not slot.is_leaving]
        for slot in staying[concurrency:]:
            slot.is_leaving = True
        for _ in range(concurrency - len(staying)):
            self._add_slot()
        self._idle.wake()

    def pause(self) -> None:
        """Claims nothing more until `resume`; running tasks go on."""
        self.is_paused = True

    def resume(self) -> None:
        """Claims again."""
        self.is_paused = False
        self._idle.wake()

    @property
    def status(self) -> Status:
        """The worker now; no round trip."""
        now = time.monotonic()
        return Status(
            id=self.id,
            names=list(self.serving.names),
            queues=self.serving.known,
            without_handler=self.serving.without_handler(),
            concurrency=self.concurrency,
            is_paused=self.is_paused,
            is_healthy=not self._outage.is_on,
            completed=self.settler.completed,
            failed=self.settler.failed,
            abandoned=sum(not slot.ended.is_set() for slot in self._zombies),
            running={running.task.id: now - running.since for _, running in self.held()},
        )

    def notice(self, text: str) -> None:
        """Tells the person who looks after this worker something."""
        self.notices.append(text)
        self._on_notice(text)

    # --- what slots ask -------------------------------------------------------------------------

    def claimable(self, slot: Slot) -> tuple[str, ...]:
        """The queues to claim from, after running loaders that are new."""
        self._loading.prepare(slot.loop)
        return self.serving.claimable() if self._is_open and not self.is_paused else ()

    def settle(
        self, slot: Slot, outcomes: tuple[Outcome, ...], queues: tuple[str, ...], want: int
    ) -> Settled | None:
        """Writes a slot's outcomes down and claims; None once given up."""
        settled = self.settler.settle(str(slot.number), outcomes, queues, want)
        self._idle.claimed(slot, found=bool(settled and settled.tasks))
        return settled

    def wait_for_work(self, slot: Slot, queues: Sequence[str]) -> None:
        """Waits a while for something to claim."""
        self._idle.wait(slot, queues)

    def slot_ended(self, slot: Slot) -> None:
        """Forgets a slot whose thread is over."""
        self._idle.leave(slot)
        with self._lock:
            if slot in self._slots:
                self._slots.remove(slot)

    # --- what chores ask ------------------------------------------------------------------------

    def held(self) -> list[tuple[Slot, Running]]:
        """The tasks under way, with their slots."""
        with self._lock:
            slots = list(self._slots)
        return [(slot, running) for slot in slots if (running := slot.running)]

    def replace(self, slot: Slot) -> None:
        """Gives a slot up whose handler does not return; a fresh one takes its place."""
        slot.is_abandoned = True
        with self._lock:
            if slot in self._slots:
                self._slots.remove(slot)
            self._zombies = [z for z in self._zombies if not z.ended.is_set()] + [slot]
        if not slot.is_leaving:
            self._add_slot()

    # --- inside ---------------------------------------------------------------------------------

    def _announce(self) -> None:
        self._chores.learn()
        self._broker.serve(self.serving.known)

    def _add_slot(self) -> None:
        slot = Slot(next(self._slot_numbers), self)
        with self._lock:
            self._slots.append(slot)
        slot.start()

    def _release(self, slots: Sequence[Slot]) -> list[str]:
        """Gives back what is still running on these slots; the ids that were."""
        released = []
        for slot in slots:
            running = slot.running
            if running is None:
                continue
            slot.is_abandoned = True
            released.append(running.task.id)
            try:
                self.settler.settle_once("keeper", Released(running.task))
            except ConnectionFailedError as error:
                self.notice(f"{error} The task is redelivered when its lease ends.")
        return released

    def _fault(self, error: BaseException) -> None:
        self.notice(f"Housekeeping failed: {type(error).__name__}: {one_line(error)}")
