"""What a worker does beside running tasks: leases, time limits, sweeps, sign of life."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from runqy_notebook.broker.boundary import explained
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.discovery import Discovery
from runqy_notebook.broker.heartbeat import INTERVAL, Heartbeat
from runqy_notebook.errors import ConnectionFailedError, one_line
from runqy_notebook.wire.outcomes import Retried
from runqy_notebook.worker.keeper import Chore
from runqy_notebook.worker.leash import Ending
from runqy_notebook.worker.run import HandlerTimeout

if TYPE_CHECKING:
    from runqy_notebook.worker.worker import Worker

TIMEOUT_GRACE = 0.5  # seconds that an async handler gets to end by itself at its time limit
LEARN_EVERY = 2.0  # seconds between looks at the known queues


class Chores:
    """The housekeeping of one worker, as the list that its keeper works off."""

    def __init__(self, worker: Worker, broker: Broker, notice: Callable[[str], None]) -> None:
        self._worker = worker
        self._broker = broker
        self._notice = notice
        self._heartbeat = Heartbeat(broker.client, worker.id, broker.layout)
        self._discovery = Discovery(broker.client, worker.id, broker.layout)
        self._known_lost: set[bytes] = set()  # tokens of running tasks whose loss was told

    def all(self) -> list[Chore]:
        renewing = Chore("renewing leases", self._worker.settings.lease / 3, self.renew)
        return [
            Chore("ending overdue tasks", 0.25, self.end_overdue),
            Chore("ending cancelled tasks", 0.25, self.end_cancelled),
            renewing,
            Chore("the heartbeat", INTERVAL, self.beat, always_writes=True),
            # So often that tasks are less than a second late; after the renewals, or a worker that
            # stood still for a moment takes its own tasks away.
            Chore("sweeping", 0.45, self.sweep, after=renewing),
            Chore("looking after the guardian", 1.0, self.guard),
            Chore("looking for queues", 0.25, self.discover),
            Chore("reading the known queues", LEARN_EVERY, self.learn),
        ]

    def end_overdue(self, now: float) -> None:
        """Takes the task from a handler that is past its time limit, and replaces its slot."""
        for slot, running in self._worker.held():
            if now < running.ends + TIMEOUT_GRACE or slot.running is not running:
                continue
            limit = running.ends - running.since
            outcome = self._worker.runner.failed(running.task, HandlerTimeout(limit))
            answer = self._worker.settler.settle_once("keeper", outcome)
            if slot.running is not running:
                continue  # it came to its end just now
            self._worker.replace(slot)
            if answer == "OK":
                self._tell_timeout(running.task.id, limit, will_retry=isinstance(outcome, Retried))

    def _tell_timeout(self, task_id: str, limit: float, *, will_retry: bool) -> None:
        again = "it will be tried again" if will_retry else "it is archived"
        self._notice(
            f"Task {one_line(task_id, 80)} ran longer than {limit:g} s: {again}. Its handler "
            "cannot be ended and still runs in the background; its result will be dropped."
        )

    def end_cancelled(self, now: float) -> None:
        """Takes the tasks from cancelled handlers that did not end in time."""
        if self._worker.cancelling.is_hurried(now):
            self.renew(now)
        self._worker.cancelling.end_late(now)

    def renew(self, now: float) -> None:
        """Prolongs the leases of the running tasks; ends those that are lost or cancelled."""
        held = self._worker.held()
        self._known_lost &= {running.task.token for _, running in held}
        if not held:
            self._worker.renewed()
            return
        lease = self._worker.settings.lease
        answers = self._broker.renew([running.task for _, running in held], lease=lease)
        self._worker.renewed()
        for (slot, running), answer in zip(held, answers, strict=True):
            token = running.task.token
            if answer == "CANCELLED":
                self._worker.cancelling.mark(running)
            if answer == "LOST" and slot.running is running and token not in self._known_lost:
                self._known_lost.add(token)
                running.leash.pull(Ending.LOST)
                self._notice(
                    f"Task {one_line(running.task.id, 80)} is no longer ours: this worker was "
                    "away from Redis for too long, or the task was deleted. What it still "
                    "returns here will be dropped."
                )

    def beat(self, now: float | None = None) -> None:
        """Says that the worker lives, and what it serves."""
        status = self._worker.status
        with explained(self._broker.where):
            self._heartbeat.beat(
                queues=status.queues,
                concurrency=status.concurrency,
                healthy=status.is_healthy,
                active=list(status.running),
            )

    def guard(self, now: float) -> None:
        """Starts a guardian where the last one died."""
        self._worker.guard()

    def sweep(self, now: float) -> None:
        """One round over the served queues."""
        second_look = self._worker.settings.lease / 3
        for event in self._broker.sweep(self._worker.serving.watched, second_look=second_look):
            task_id = one_line(event.task_id, 80)
            if event.kind == "orphan":
                self._notice(
                    f"The id {task_id!r} in {event.queue} never got a task hash; it is archived."
                )
            elif event.kind == "crashed":
                self._notice(
                    f"Task {task_id!r} in {event.queue} was lost with its worker too often; it is "
                    "archived."
                )

    def discover(self, now: float) -> None:
        """Walks on over the keys in search of queues that outsiders made."""
        with explained(self._broker.where):
            self._discovery.step(now)

    def learn(self, now: float | None = None) -> None:
        """Takes note of the queues that are known by now."""
        with explained(self._broker.where):
            self._worker.serving.learn(self._discovery.known())

    def end(self, farewell: Broker) -> None:
        """Takes the sign of life away; if Redis is away too, it ends by itself."""
        try:
            with explained(farewell.where):
                self._heartbeat.end(farewell.client)
                self._discovery.end(farewell.client)
        except ConnectionFailedError:
            return
