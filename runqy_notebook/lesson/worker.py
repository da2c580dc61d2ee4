"""A worker that makes one move at a time, each when it is told to.

By the broker and the scripts that every worker of ours uses, under a lease that it renews, watched
by a guardian: so when its process is killed, what follows is no imitation. It stops at three gates:
before it claims, before the handler's first line, and before it writes the outcome down.
"""

from __future__ import annotations

import functools
import itertools
import os
import pickle
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.connect import open_client
from runqy_notebook.broker.detour import detoured
from runqy_notebook.broker.exchanges import Exchange, Settled
from runqy_notebook.broker.guardian import APART
from runqy_notebook.broker.guarding import Guarding
from runqy_notebook.broker.heartbeat import INTERVAL, Heartbeat, new_worker_id
from runqy_notebook.lesson.orders import Orders, Sent, Way
from runqy_notebook.registry import Handler, Loader, Registry
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import Crashed, Outcome, Released
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.handling import Handling
from runqy_notebook.worker.leash import Ending, Leash
from runqy_notebook.worker.outage import Outage
from runqy_notebook.worker.reporter import Reporter
from runqy_notebook.worker.run import Run, Runner, describe

PATIENCE: Final = 2.0  # seconds that the server may take to answer a move
_SLOT: Final = "1"
_LOOK: Final = 0.005


class Worker:
    """One slot's work, a move at a time. What a move was is told as a word with facts."""

    def __init__(self, orders: Orders, way: Way, inbox: queue.SimpleQueue[Any]) -> None:
        settings = orders.settings
        self.id = new_worker_id()
        self._queue = orders.queue
        self._settings = settings
        self._way = way
        self._inbox = inbox
        client = open_client(orders.url)
        self._broker = Broker(
            detoured(client, name=orders.name, by=orders.by, patience=PATIENCE),
            "the lesson's way to Redis",
            orders.retention,
        )
        self._own = Broker(  # for what goes on between the moves
            detoured(client, name=f"{orders.name}-keeper", by=None, patience=PATIENCE),
            self._broker.where,
            self._broker.retention,
        )
        self._guarding = Guarding(
            client,
            settings.lease,
            self._broker.retention,
            news=self._broker.channels.news(""),
            worker_id=self.id,
        )
        if settings.guardian:
            self._guarding.look_after()
        self._entry = self._guarding.ledger.entry(int(_SLOT))
        self._heartbeat = Heartbeat(self._own.client, self.id)
        self._contexts, self._loop = Contexts(), SlotLoop()
        self._sent: tuple[list[Sent], Sent | None] = ([], None)
        self._functions: dict[bytes, Any] = {}
        self._loaders: dict[bytes, Loader] = {}
        self._task: Task | None = None
        self._outcome: Outcome | None = None
        self._exchange: Exchange | None = None  # one whose answer was lost
        self._leash = Leash()
        self._nonces = itertools.count(1)
        self._said: list[str] = []
        reporter = Reporter(
            self.id,
            self._own,
            Outage(lambda text: None),
            on_event=self._heard,
            on_fault=lambda error: self._said.append(describe(error)),
        )
        self._reporter = reporter
        self._handling = Handling(reporter)
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    @property
    def facts(self) -> dict[str, Any]:
        """What is to be known of it."""
        return {"id": self.id, "pid": os.getpid(), "guardian": self._guarding.pid}

    # --- moves ----------------------------------------------------------------------------------

    def definitions(self, handlers: list[Sent], loader: Sent | None) -> tuple[Any, ...]:
        """Takes the handlers of the queue as they are now."""
        self._sent = (handlers, loader)
        return ("known",)

    def claim(self) -> tuple[Any, ...]:
        """Takes the next task under a lease, if there is one."""
        return self._ask(self._next_exchange((), want=1))

    def run(self) -> tuple[Any, ...]:
        """Calls the handler, once the lesson says go."""
        task = self._task
        assert task is not None  # noqa: S101 - the lesson asks only then
        self._said.clear()
        if task.is_suspect:
            threading.Thread(target=self._tell_when_apart, daemon=True).start()
        runner = Runner(self._registry(task), self._contexts, self._settings, self._said.append)
        run = Run(task, self._loop, self._leash, self._entry)
        began = time.monotonic()
        with self._handling.of(task, lambda: self._leash.is_pulled):
            self._outcome = runner.run(run)
        if not isinstance(self._outcome, Crashed):
            self._entry.ended()
        seconds = time.monotonic() - began
        return "ran", _sendable(self._outcome), tuple(self._said[-20:]), seconds

    def acknowledge(self, parcel: Any) -> tuple[Any, ...]:
        """Writes down what became of the task."""
        assert self._outcome is not None  # noqa: S101 - the lesson asks only then
        outcome = self._outcome
        if parcel is not None and not isinstance(outcome, Released):
            outcome = replace(outcome, parcel=parcel)
        return self._ask(self._next_exchange((outcome,), want=0))

    def again(self) -> tuple[Any, ...]:
        """Asks once more what got no answer."""
        assert self._exchange is not None  # noqa: S101 - the lesson asks only then
        return self._ask(self._exchange, again=True)

    def sweep(self) -> tuple[Any, ...]:
        """One housekeeping round over the queue."""
        events = self._broker.sweep([self._queue], second_look=self._settings.lease / 3)
        return "swept", [(event.kind, event.task_id) for event in events]

    def leave(self) -> tuple[Any, ...]:
        """Gives back what it holds, also while the handler runs, and says farewell."""
        self._stopping.set()
        self._keeper.join(2 * PATIENCE)
        task, given_back = self._task, ""
        self._leash.pull(Ending.LOST)
        if task is not None:
            released = self._next_exchange((Released(task),), want=0)
            settled = self._own.settle(released, lease=self._settings.lease)
            given_back = task.id if settled.answers == ["OK"] else ""
        self._entry.free()
        self._reporter.stop(1.0)
        self._heartbeat.end(self._own.client)
        self._guarding.stop()
        return "left", given_back

    # --- inside ---------------------------------------------------------------------------------

    def _next_exchange(self, outcomes: tuple[Outcome, ...], *, want: int) -> Exchange:
        name = f"{self.id}/{_SLOT}"
        queues = (self._queue,) if want else ()
        return Exchange(name, f"{name}:{next(self._nonces)}", outcomes, queues, want)

    def _ask(self, exchange: Exchange, *, again: bool = False) -> tuple[Any, ...]:
        """Makes an exchange; what is lost on the way is kept, to be asked again."""
        self._exchange = exchange
        settled = self._broker.settle(exchange, lease=self._settings.lease, again=again)
        self._exchange = None
        if exchange.outcomes:
            self._task = self._outcome = None
            self._entry.free()
        for task in settled.tasks:
            self._take(task)
        return "settled", _facts_of(settled)

    def _take(self, task: Task) -> None:
        self._task, self._leash = task, Leash()
        self._entry.claimed(task, float("inf"))

    def _registry(self, task: Task) -> Registry:
        """The handlers as a worker has them; they wait at the gate, but for those that run apart
        and so cannot.
        """
        found = Registry()
        handlers, loader = self._sent
        for sent in handlers:
            function, _ = self._function(sent)
            if not task.is_suspect:
                function = self._gated(function)
            found.add(
                Handler(
                    function,
                    queue=sent.queue,
                    type=sent.type,
                    timeout=sent.timeout,
                    store_result=sent.store_result,
                    deliver_to=sent.deliver_to,
                )
            )
        if loader is not None:
            if loader.text not in self._loaders:
                self._loaders = {loader.text: Loader(self._function(loader)[0], loader.queue)}
                self._contexts.forget_others(set(self._loaders.values()))
            found.add_loader(self._loaders[loader.text])
        return found

    def _function(self, sent: Sent) -> Any:
        if sent.text not in self._functions:
            self._functions[sent.text] = pickle.loads(sent.text)  # noqa: S301 - from our own kernel
        return self._functions[sent.text]

    def _gated(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def at_the_gate(*arguments: Any) -> Any:
            self._way.send("began")
            if self._inbox.get() is None:
                os._exit(1)  # the lesson is gone
            return function(*arguments)

        return at_the_gate

    def _tell_when_apart(self) -> None:
        """Says when a handler begins in a process of its own."""
        mark = self._entry.mark_of_a_child
        gives_up_at = time.monotonic() + 30
        while mark is not None and time.monotonic() < gives_up_at and self._outcome is None:
            if os.pread(mark[0], 1, mark[1])[0] == APART:
                self._way.send("began")
                return
            time.sleep(_LOOK)

    def _heard(self, event: Event) -> None:
        if event.kind is Kind.LOG:
            self._said.extend(event.lines)

    def _keep(self) -> None:
        """Renews the lease, and says that the worker lives."""
        pause = min(self._settings.lease / 3, INTERVAL)
        beaten_at = 0.0
        while True:
            try:
                if time.monotonic() - beaten_at >= INTERVAL:
                    beaten_at = time.monotonic()
                    self._beat()
                task = self._task
                if task is not None:
                    (answer,) = self._own.renew([task], lease=self._settings.lease)
                    self._guarding.ledger.renewed()
                    if answer == "LOST" and self._task is task:
                        self._leash.pull(Ending.LOST)
            except Exception:  # noqa: BLE001, S110 - Redis is away: the next round tries again
                pass
            if self._stopping.wait(pause):
                return

    def _beat(self) -> None:
        active = [self._task.id] if self._task else []
        self._heartbeat.beat(queues=[self._queue], concurrency=1, healthy=True, active=active)


def _facts_of(settled: Settled) -> dict[str, Any]:
    return {
        "answers": settled.answers,
        "tasks": settled.tasks,
        "unsound": [str(each) for each in settled.unsound],
    }


def _sendable(outcome: Outcome) -> bytes:
    """The outcome by cloudpickle, without what cannot be sent."""
    import cloudpickle

    for bare in ({}, {"value": None}, {"cause": None}):
        try:
            return cloudpickle.dumps(replace(outcome, **bare))  # type: ignore[no-any-return, arg-type]
        except Exception:  # noqa: BLE001, S112 - whatever a pickler, or a field it lacks
            continue
    return cloudpickle.dumps(Released(outcome.task))  # type: ignore[no-any-return]
