"""Writing outcomes down and claiming, until Redis answers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Sequence

from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import Exchange, Settled
from runqy_notebook.errors import ConnectionFailedError, one_line
from runqy_notebook.events import Events
from runqy_notebook.wire.events import Event, Kind, of_outcome
from runqy_notebook.wire.outcomes import CANCELLED, Archived, Completed, Outcome, Released
from runqy_notebook.wire.states import State
from runqy_notebook.worker.addressing import Addressing
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.run import describe
from runqy_notebook.worker.turns import give_way

_WHY_DROPPED = {
    "FENCED": "was given to another worker while it ran here; this run's outcome is dropped.",
    "GONE": "was deleted while it ran here; this run's outcome is dropped.",
    "UNSOUND": "could not be written down: it runs again once its queue's keys are mended.",
}


class Settler:
    """The worker's way to the broker. Slots share it; it counts what became of their tasks."""

    def __init__(
        self,
        broker: Broker,
        worker_id: str,
        lease: float,
        outage: Outage,
        *,
        addressing: Addressing | None,
        on_outcome: Callable[[Outcome], None],
        events: Events,
        notice: Callable[[str], None],
    ) -> None:
        self.completed = 0
        self.failed = 0
        self._broker = broker
        self._worker_id = worker_id
        self._lease = lease
        self._outage = outage
        self._addressing = addressing
        self._on_outcome = on_outcome
        self._events = events
        self._notice = notice
        self._nonces = itertools.count(1)
        self._lock = threading.Lock()
        self._has_given_up = False
        self._unsound: set[str] = set()

    def ahead(self, slot: str, queues: tuple[str, ...], want: int, former: Ahead | None) -> Ahead:
        """A slot's next claim, to be sent behind a wait; `former` is the one under way, if any."""
        exchange = self._exchange(slot, (), queues, want, former)
        return self._broker.ahead(exchange, lease=self._lease)

    def settle(
        self,
        slot: str,
        outcomes: tuple[Outcome, ...],
        queues: tuple[str, ...],
        want: int,
        ahead: Ahead | None = None,
    ) -> Settled | None:
        """One exchange for a slot, made again until Redis answers; None once `give_up` was called.

        After a lost reply the same exchange is asked again and so counts once. `ahead`: this one,
        sent before; it is called in where nothing is wanted.
        """
        if ahead is not None and ahead.answer is not None and (want or ahead.has_tasks):
            settled = self._broker.settled(ahead.answer)
            self._outage.succeeded(has_written=ahead.has_tasks)
            self._report(ahead.exchange, (), settled)
            self._tell_started(settled)
            return settled
        exchange = self._exchange(slot, outcomes, queues, want, ahead)
        with self._events.ending(outcomes) as ends:
            is_open = ahead is not None and bool(want)
            written = self._settled(exchange, again=ahead is not None and not want, is_open=is_open)
            if written is None:
                self._tell_unsettled(outcomes)
                return None
            ends.are_written()
            self._report(exchange, outcomes, written)
        if outcomes and not written.tasks:
            give_way()
        self._tell_started(written)
        return written

    def write_down(self, slot: str, outcomes: tuple[Outcome, ...]) -> None:
        """Outcomes alone, as `settle` does."""
        self.settle(slot, outcomes, (), 0)

    def call_in(self, slot: str, ahead: Ahead, broker: Broker) -> None:
        """Calls a claim in and gives back what it took; raises ConnectionFailedError where Redis is
        away.
        """
        if ahead.has_tasks:
            settled = broker.settled(ahead.answer)
        else:
            exchange = self._exchange(slot, (), (), 0, ahead)
            settled = broker.settle(exchange, lease=self._lease, again=True)
        for task in settled.tasks:
            self.settle_once(slot, Released(task), broker)

    def _settled(self, exchange: Exchange, *, again: bool, is_open: bool) -> Settled | None:
        """The answer; None once `give_up` was called. `is_open`: it is asked until it takes tasks,
        so that what a late request takes is not lost.
        """
        while True:
            try:
                settled = self._broker.settle(exchange, lease=self._lease, again=again)
            except ConnectionFailedError as error:
                self._outage.failed(error)
                again = not is_open
                self._outage.hold_off()
                if self._has_given_up:
                    return None
                continue
            self._outage.succeeded(has_written=bool(exchange.outcomes or settled.tasks))
            return settled

    def settle_once(self, slot: str, outcome: Outcome, broker: Broker | None = None) -> str:
        """Writes one outcome down and gives the answer; raises ConnectionFailedError where Redis is
        away.
        """
        exchange = self._exchange(slot, (outcome,), (), 0)
        with self._events.ending((outcome,)) as ends:
            settled = (broker or self._broker).settle(exchange, lease=self._lease)
            ends.are_written()
            self._report(exchange, (outcome,), settled)
        return settled.answers[0]

    def give_up(self) -> None:
        """Ends all attempts: what is not written down by now is redelivered after its lease."""
        self._has_given_up = True
        self._outage.close()

    def _exchange(
        self,
        slot: str,
        outcomes: tuple[Outcome, ...],
        queues: Sequence[str],
        want: int,
        ahead: Ahead | None = None,
    ) -> Exchange:
        """The slot's next one, or `ahead` with other terms."""
        name = f"{self._worker_id}/{slot}"
        if self._addressing:
            outcomes = tuple(map(self._addressing.addressed, outcomes))
        nonce = ahead.exchange.nonce if ahead else f"{name}:{next(self._nonces)}"
        return Exchange(name, nonce, outcomes, tuple(queues), want)

    def _report(self, exchange: Exchange, outcomes: tuple[Outcome, ...], settled: Settled) -> None:
        if self._addressing and outcomes:
            self._addressing.posted(exchange.outcomes, settled.answers)
        for problem in settled.unsound:
            if problem.key not in self._unsound:
                self._unsound.add(problem.key)
                self._notice(str(problem))
        for outcome, answer in zip(outcomes, settled.answers, strict=True):
            if answer == "CANCELLED":
                self._end(Archived(outcome.task, CANCELLED), settled.at)
            elif answer == "OK":
                self._count(outcome)
                self._end(outcome, settled.at)
            elif not isinstance(outcome, Released):
                self._notice(f"Task {one_line(outcome.task.id, 80)} {_WHY_DROPPED[answer]}")

    def _end(self, outcome: Outcome, at: float) -> None:
        """Tells who listens, and then who waits: a cell that ends with its wait shows the event."""
        if self._events.subscriptions:
            self._events.publish(of_outcome(outcome, at, self._worker_id))
        try:
            self._on_outcome(outcome)
        except Exception as error:  # noqa: BLE001 - the next task is claimed by now and must run
            name = one_line(outcome.task.id, 80)
            self._notice(f"Whoever waits for task {name} could not be told: {describe(error)}")

    def _tell_started(self, settled: Settled) -> None:
        if self._events.subscriptions:
            for task in settled.tasks:
                started = Event(
                    Kind.STARTED,
                    task.id,
                    task.queue,
                    settled.at,
                    self._worker_id,
                    State.ACTIVE,
                    task.retry + 1,
                    task.max_retry + 1,
                )
                self._events.publish(started)

    def _count(self, outcome: Outcome) -> None:
        with self._lock:
            if isinstance(outcome, Completed):
                self.completed += 1
            elif not isinstance(outcome, Released):
                self.failed += 1

    def _tell_unsettled(self, outcomes: tuple[Outcome, ...]) -> None:
        for outcome in outcomes:
            self._notice(
                f"Task {one_line(outcome.task.id, 80)} has run, but Redis could not be told: it "
                "runs again when its lease has ended."
            )
