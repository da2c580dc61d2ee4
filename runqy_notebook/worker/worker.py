"""The in-kernel worker: slots that run tasks, a keeper that looks after them."""

from __future__ import annotations

import builtins
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.guarding import Guarding
from runqy_notebook.broker.heartbeat import new_worker_id
from runqy_notebook.broker.ledger import Entry
from runqy_notebook.broker.waiter import Waiter
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.events import Events
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import REGISTRY, Registry
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Outcome, Released
from runqy_notebook.worker.addressing import Addressing
from runqy_notebook.worker.batch import Relief
from runqy_notebook.worker.cancelling import Cancelling
from runqy_notebook.worker.capture import CAPTURE
from runqy_notebook.worker.chores import Chores
from runqy_notebook.worker.claims import FAREWELL, Claims
from runqy_notebook.worker.contexts import Contexts
from runqy_notebook.worker.crew import Crew
from runqy_notebook.worker.handling import Handling
from runqy_notebook.worker.idle import Idle
from runqy_notebook.worker.keeper import Keeper
from runqy_notebook.worker.leash import Ending
from runqy_notebook.worker.loading import LoadFailure, Loading
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.report import Status as Status
from runqy_notebook.worker.report import Stopped as Stopped
from runqy_notebook.worker.reporter import Reporter
from runqy_notebook.worker.run import Runner, describe
from runqy_notebook.worker.serving import Serving
from runqy_notebook.worker.settling import Settler
from runqy_notebook.worker.slots import Elsewhere, Running, Slot
from runqy_notebook.worker.starving import Starvation

if TYPE_CHECKING:
    from runqy_notebook.worker.lent import Lent


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
        events: Events | None = None,
        addressing: Addressing | None = None,
        executor: Executor | None = None,
    ) -> None:
        events = events or Events()
        self.id = new_worker_id()
        self.settings = settings
        self.notices: deque[str] = deque(maxlen=100)
        self.serving = Serving(names, registry, settings.separator, priorities)
        self._on_notice = on_notice
        self._broker = broker.impatient(patience=max(1.0, settings.lease / 3))
        self.contexts = Contexts()
        self.runner = Runner(registry, self.contexts, settings, self.notice)
        self._loading = Loading(registry, self.contexts, self.serving, self.notice)
        self._outage = Outage(self.notice)
        self.settler = Settler(
            self._broker,
            self.id,
            settings.lease,
            self._outage,
            addressing=addressing,
            on_outcome=on_outcome,
            events=events,
            notice=self.notice,
        )
        self.reporter = Reporter(
            self.id, self._broker, self._outage, on_event=events.publish, on_fault=self.fault
        )
        self.handling = Handling(self.reporter)
        self.switch_interval = settings.switch_interval
        self._crew = Crew(lambda number, errand: Slot(number, self, errand), settings.concurrency)
        self.starvation = Starvation(registry, lambda: self._crew.slots, self.notice)
        self._guarding = Guarding(
            self._broker.client,
            settings.lease,
            self._broker.retention,
            self._broker.layout,
            self._broker.channels.news(""),
            self.id,
        )
        waiter = Waiter(self._broker.client, broker.where, broker.layout)
        self._idle = Idle(waiter, self.serving, self._outage)
        self.cancelling = Cancelling(self, self.notice)
        self._chores = Chores(self, self._broker, self.notice)
        self._keeper = Keeper(self._chores.all(), self._outage, self.fault)
        self._relief = Relief(lambda: self._crew.slots, self.settler.write_down, self.fault)
        self.claims = Claims(
            self.settler,
            self.serving,
            self._loading,
            self.contexts,
            self._idle,
            slots=lambda: self._crew.slots,
            impatient=lambda patience: self._broker.impatient(patience=patience),
            on_batch=self._relief.watch,
        )
        self._lent = self._borrow(executor) if executor is not None else None
        self._faults: set[str] = set()
        self._is_capturing = False
        self._stopped: Stopped | None = None

    # --- life -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs the loaders and begins to serve.

        Raises LoadError when a @load function raises, HandlerError for a handler that cannot run
        where it is to, ConnectionFailedError; nothing runs then.
        """
        try:
            self._chores.learn()
            self._crew.add()
            while not self._loading.done.wait(0.1):
                pass  # in short waits, so that an interrupt of the cell gets through
            for failure in self._loading.failures.values():
                raise failure.as_error() from failure.error
            self.guard()
            CAPTURE.start(tee=not hasattr(builtins, "__IPYTHON__"))  # how IPython says it is there
            self._is_capturing = True
            self.starvation.start()  # before handlers run that might keep us from it
            self.claims.open()
            self._crew.complete()
            self._idle.wake()
            self._chores.beat()
            self._keeper.start()
            self._relief.start()
        except BaseException:
            self.stop(0)
            raise

    def stop(self, seconds: float | None = None) -> Stopped:
        """Lets running tasks end for at most `seconds`, then gives them back to their queues.

        Takes about a second longer where Redis does not answer. A second stop tells the same.
        """
        if self._stopped is not None:
            return self._stopped
        ends = time.monotonic() + (self.settings.shutdown_timeout if seconds is None else seconds)
        slots = self._crew.close()
        for slot in slots:
            slot.leave()
        self._idle.wake()
        for slot in slots:
            while not slot.ended.is_set() and (left := ends - time.monotonic()) > 0:
                slot.ended.wait(min(0.1, left))

        farewell = self._broker.impatient(patience=FAREWELL)
        gives_up_at = time.monotonic() + FAREWELL
        released, is_away = self._release(slots, farewell)
        self.settler.give_up()
        is_away |= not self._keeper.stop(gives_up_at - time.monotonic())
        self._relief.stop(gives_up_at - time.monotonic())
        self.starvation.stop(gives_up_at - time.monotonic())
        self._idle.close()
        for slot in slots:
            if not slot.is_abandoned or slot.place is not None:  # its process was ended
                slot.join(gives_up_at - time.monotonic())
        self.reporter.stop(gives_up_at - time.monotonic())
        if self._is_capturing:
            CAPTURE.stop()
        if not is_away:
            self._chores.end(farewell)
        self._guarding.stop()
        farewell.close()
        self._broker.close()
        self._stopped = Stopped(tuple(released))
        return self._stopped

    def serve(self, names: Sequence[str]) -> None:
        """Serves further queues from now on."""
        self.serving.add(names)
        self._chores.learn()
        self._chores.beat()
        self._idle.wake()

    def expect(self, queue: str) -> None:
        """A task for this queue is on its way to the server, sent by this process; costs a
        microsecond or so where no slot waits for it.
        """
        self._idle.expect(queue)

    def resize(self, concurrency: int) -> None:
        """Runs so many tasks at a time from now on; slots too many end after their task."""
        self._crew.resize(concurrency)
        self._idle.wake()

    def pause(self) -> None:
        """Claims nothing more until `resume`; running tasks go on, and so do those of a claim under
        way, which is waited for.
        """
        self.claims.pause()

    def resume(self) -> None:
        """Claims again."""
        self.claims.resume()

    @property
    def is_paused(self) -> bool:
        """Whether it was told to claim nothing."""
        return self.claims.is_paused

    @property
    def guardian(self) -> int | None:
        """The process id of the guardian that watches this process; None where none does."""
        return self._guarding.pid

    @property
    def status(self) -> Status:
        """The worker now; no round trip."""
        now = time.monotonic()
        return Status(
            id=self.id,
            names=list(self.serving.names),
            queues=self.serving.known,
            without_handler=self.serving.without_handler(),
            concurrency=self._crew.concurrency,
            executor=self._lent.name if self._lent else self.settings.executor,
            is_paused=self.is_paused,
            is_healthy=not self._outage.is_on,
            completed=self.settler.completed,
            failed=self.settler.failed,
            abandoned=self._crew.hanging,
            starved=dict(self.starvation.longest),
            running={running.task.id: now - running.since for _, running in self.held()},
        )

    @property
    def load_failures(self) -> list[LoadFailure]:
        """The @load functions that raised and were not defined again since."""
        return list(self._loading.failures.values())

    def notice(self, text: str) -> None:
        """Tells the person who looks after this worker something."""
        self.notices.append(text)
        try:
            self._on_notice(text)
        except Exception as error:  # noqa: BLE001 - no thread of ours may die of who listens
            self.notices.append(f"A notice could not be shown: {describe(error)}")

    def fault(self, error: BaseException) -> None:
        """Tells of an error that nobody expected, once."""
        told = f"Something went wrong in the worker: {describe(error)}"
        if told not in self._faults:
            self._faults.add(told)
            self.notice(told)

    # --- what slots ask -------------------------------------------------------------------------

    def set_aside(self, task: Task) -> bool:
        """Has a thread of its own run this task, which runs apart and may have to wait for that;
        whether it has one.
        """
        return self._crew.set_aside(task)

    def slot_ended(self, slot: Slot) -> None:
        """Forgets a slot whose thread is over."""
        self._idle.leave(slot)
        self.contexts.forget_slot(slot.loop)
        self._crew.forget(slot)

    def entry(self, slot: int) -> Entry:
        """A slot's place on the page that the guardian reads."""
        return self._guarding.ledger.entry(slot)

    def place(self, slot: Slot) -> Elsewhere | None:
        """Where a slot runs handlers; None: in its thread."""
        if self._lent is not None:
            return self._lent
        if self.settings.executor == "process":
            from runqy_notebook.worker.process import Process  # not everybody needs it

            return Process(slot.entry, self.settings.cancel_grace)
        return None

    # --- what chores ask ------------------------------------------------------------------------

    def held(self) -> list[tuple[Slot, Running]]:
        """The tasks under way, with their slots."""
        return [(slot, running) for slot in self._crew.slots if (running := slot.running)]

    def renewed(self) -> None:
        """Tells the guardian that the kernel is awake."""
        self._guarding.ledger.renewed()

    def guard(self) -> None:
        """Sees to it that a guardian watches this process."""
        if self.settings.guardian:
            self._guarding.look_after()

    def replace(self, slot: Slot) -> None:
        """Gives a slot up whose handler does not return; a fresh one takes its place."""
        self._crew.replace(slot)

    # --- inside ---------------------------------------------------------------------------------

    def _borrow(self, executor: Executor) -> Lent:
        from runqy_notebook.worker.lent import Lent  # not everybody needs it

        def broken(why: str) -> None:
            if not self.is_paused:
                self.claims.is_paused = True
                self.notice(
                    f"The {lent.name} takes no more tasks ({why}); the worker is paused. Stop it, "
                    "and start it with a new executor."
                )

        lent = Lent(executor, broken)
        return lent

    def _release(self, slots: Sequence[Slot], farewell: Broker) -> tuple[list[str], bool]:
        """Gives back what is still running on these slots; the ids that were, and whether Redis is
        away.
        """
        released: list[str] = []
        is_away = False
        for slot in slots:
            running = slot.running
            if running is None:
                continue
            slot.is_abandoned = True
            slot.entry.give_back()
            answer = "OK"
            if not is_away:
                try:
                    for outcome in slot.batch.take_all():
                        self.settler.settle_once("stop", outcome, farewell)
                    answer = self.settler.settle_once("stop", Released(running.task), farewell)
                except ConnectionFailedError as error:
                    is_away = True
                    self.notice(f"{error} What was running is redelivered when its lease ends.")
            running.leash.pull(Ending.LOST)
            if answer == "OK":
                released.append(running.task.id)
        return released, is_away
