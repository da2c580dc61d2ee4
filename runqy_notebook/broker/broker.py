"""Every write to the queues, each one script call and so all or nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import redis
from hiredis import pack_command

from runqy_notebook.broker import scripts
from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.asking import Asking
from runqy_notebook.broker.boundary import FAILURES, explained, failure_of
from runqy_notebook.broker.channels import Channels
from runqy_notebook.broker.exchanges import (
    Enqueued,
    Exchange,
    Keeping,
    Retention,
    Settled,
    SweepEvent,
    WrongTypeError,
    outcome_row,
)
from runqy_notebook.broker.impatient import impatient_client
from runqy_notebook.broker.lines import Lines
from runqy_notebook.broker.notes import Note
from runqy_notebook.broker.writing import Entries, Writing, has_looked
from runqy_notebook.errors import TaskConflictError
from runqy_notebook.wire.documented import Task, read_task
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_bytes, to_text

SOUND_FOR: Final = 1.0
"""Seconds for which a queue's keys are believed to be of the right types once they were looked at.
What is put in their place meanwhile holds up the tasks that follow, and loses none.
"""


class Broker:
    """The write side of one Redis. Threads may share it.

    Every method raises ConnectionFailedError where Redis cannot be reached or refuses.
    """

    def __init__(
        self,
        client: redis.Redis,
        where: str,
        retention: Retention,
        layout: Layout = DOCUMENTED,
        *,
        name: str = "",
    ) -> None:
        self.client = client
        self.where = where  # for error messages
        self.layout = layout
        self.name = name  # who others hear has enqueued
        self.channels = Channels(client, layout)
        self._lines = Lines(client)
        self._retention = retention
        self._sound_until: dict[str, float] = {}  # by queue base, on the monotonic clock
        self._asked: tuple[object, Asking | None] = (None, None)
        self._has_enqueue = False  # whether the server had its script when it was last asked
        self._origin: Broker | None = None

    @property
    def retention(self) -> Retention:
        """How finished tasks are kept from now on; `impatient` ones follow their origin."""
        return self._origin.retention if self._origin else self._retention

    @retention.setter
    def retention(self, value: Retention) -> None:
        self._retention = value

    def impatient(self, *, patience: float) -> Broker:
        """The same on connections of its own, where an answer may take `patience` seconds; `close`
        it.
        """
        client = impatient_client(self.client, patience)
        twin = Broker(client, self.where, self._retention, self.layout, name=self.name)
        twin.channels = self.channels
        twin._origin = self
        return twin

    def close(self) -> None:
        """Ends the connections of a broker that was made by `impatient`."""
        if self._origin and self._origin.client is not self.client:
            self._lines.close()
            # What another thread still waits on it closes itself.
            self.client.connection_pool.disconnect(inuse_connections=False)

    def enqueue(
        self,
        queue: str,
        entries: Entries,
        fields: Mapping[str, str],
        *,
        unique_age: float | None = None,
        keeping: Keeping | None = None,
        due: str = "0",
    ) -> Enqueued:
        """Writes tasks of one queue, `entries` being (id, payload JSON); all or none of them.

        `unique_age`: keep an existing task of that id while it is unfinished or younger than so
        many seconds; `keeping` says otherwise which are kept. `due`: unix seconds, or "+seconds".
        Raises TaskConflictError, WrongTypeError.
        """
        return self.write(self.writing(queue, fields, unique_age, keeping, due), entries)

    def writing(
        self,
        queue: str,
        fields: Mapping[str, str],
        unique_age: float | None = None,
        keeping: Keeping | None = None,
        due: str = "0",
    ) -> Writing:
        """What `write` is to say of every task, made once for many; see `enqueue`."""
        return Writing.of(self.layout, queue, fields, unique_age, keeping, due)

    def write(
        self, writing: Writing, entries: Entries, sent: Callable[[], object] | None = None
    ) -> Enqueued:
        """Writes tasks as `enqueue` does; `sent` as in `Lines.execute_command`."""
        args = self._arguments(writing, entries)
        is_short = len(entries) == 1 and sent is None  # who is told then wants the processor
        answer = self.call(scripts.ENQUEUE, writing.keys, args, sent=sent, is_short=is_short)
        return self._written(writing, args, answer)

    def write_each(self, writing: Writing, batches: Iterable[Entries]) -> Iterator[Enqueued]:
        """The same for some batches in order. A batch is asked for and sent while the one before it
        is written: where one is refused, one more may have been written.
        """
        asked = (self._arguments(writing, entries) for entries in batches)
        sent: deque[list[object]] = deque()

        def calls(first: list[object]) -> Iterator[list[object]]:
            for args in chain((first,), asked):
                sent.append(args)
                yield scripts.ENQUEUE.call(writing.keys, args)
                if not self._has_enqueue:
                    return

        for args in asked:
            if self._has_enqueue:
                for answer in self._each(calls(args)):
                    if isinstance(answer, redis.exceptions.NoScriptError):
                        self._has_enqueue = False  # the rest waits, so that all keep their order
                        answer = self.call(scripts.ENQUEUE, writing.keys, sent[0])
                    yield self._written(writing, sent.popleft(), answer)
            else:
                yield self._written(writing, args, self.call(scripts.ENQUEUE, writing.keys, args))
                self._has_enqueue = True

    def _each(self, calls: Iterable[list[object]]) -> Iterator[Any]:
        """The answers to these calls, and what says that the server does not have the script."""
        with explained(self.where):
            for answer in self._lines.evalsha_each(calls):
                is_unknown = isinstance(answer, redis.exceptions.NoScriptError)
                if isinstance(answer, Exception) and not is_unknown:
                    raise answer
                yield answer

    def _arguments(self, writing: Writing, entries: Entries) -> list[object]:
        looks = time.monotonic() >= self._sound_until.get(writing.keys[0], 0.0)
        return writing.arguments(entries, self.channels.news(self.name), looks)

    def _written(self, writing: Writing, args: Sequence[object], answer: Any) -> Enqueued:
        base = writing.keys[0]
        word = answer[0]
        if word == b"WRONGTYPE":
            self._sound_until.pop(base, None)
            raise WrongTypeError(*map(to_text, answer[1:]))
        if has_looked(args):
            self._sound_until[base] = time.monotonic() + SOUND_FOR
        if word == b"CONFLICT":
            raise TaskConflictError(to_text(answer[1]), to_text(answer[2]))
        return Enqueued(float(answer[1]), frozenset(map(int, answer[2:])))

    def settle(self, exchange: Exchange, *, lease: float, again: bool = False) -> Settled:
        """Writes down outcomes and claims what comes next, in one round trip."""
        kept = self.retention
        asking = self._asking(exchange, kept, lease)
        outcomes: list[object] = []
        for outcome in exchange.outcomes:
            outcomes += outcome_row(asking.number[outcome.task.queue], outcome, kept)
        keys, args = asking.call(exchange, outcomes, again=again)
        answer = self.call(scripts.SETTLE, keys, args, is_short=len(exchange.outcomes) <= 1)
        return self.settled(answer)

    def ahead(self, exchange: Exchange, *, lease: float) -> Ahead:
        """An exchange that claims only, to be sent behind a wait for tasks."""
        keys, args = self._asking(exchange, self.retention, lease).call(exchange)
        return Ahead(exchange, pack_command(("EVALSHA", *scripts.SETTLE.call(keys, args))))

    def settled(self, answer: Any) -> Settled:
        """What the script says of an exchange."""
        answers, rows, unsound, at = answer
        now = float(at)
        tasks = []
        known = None
        for base, task_id, token, values in rows:
            if base != known:
                known, queue = base, self.layout.queue_of_base(to_text(base))
            tasks.append(read_task(queue, task_id, token, values, now))
        return Settled(
            [word.decode() for word in answers],
            tasks,
            [WrongTypeError(*map(to_text, row)) for row in unsound],
            now,
        )

    def _asking(self, exchange: Exchange, kept: Retention, lease: float) -> Asking:
        """As it was the last time, if nothing changed."""
        news = self.channels.news(exchange.slot.partition("/")[0])
        asked = (exchange.queues, kept, lease, news)
        asked_before, asking = self._asked
        used = {outcome.task.queue for outcome in exchange.outcomes}
        if asking is None or asked != asked_before or not asking.knows(used):
            asking = Asking.of(self.layout, exchange, kept, lease, news)
            self._asked = (asked, asking)  # one value, so that threads never mix two
        return asking

    def note(self, task: Task, note: Note) -> bool:
        """Writes down what the handler of a claimed task says; False where it is not ours any
        more.
        """
        keys = (self.layout.task(task.id), self.layout.log(task.id), self.layout.said(task.id))
        arguments = note.arguments(self.channels.news(note.by), task.queue)
        return bool(self.call(scripts.NOTE, keys, [task.token, *arguments]))

    def renew(self, tasks: Sequence[Task], *, lease: float) -> list[str]:
        """Prolongs leases; a word per task: HELD, LOST or CANCELLED."""
        queues = list(dict.fromkeys(task.queue for task in tasks))
        number = {queue: n for n, queue in enumerate(queues, 1)}
        answers = self.call(
            scripts.RENEW,
            [self.layout.queue(queue).base for queue in queues],
            [
                self.layout.tasks,
                lease,
                *(
                    part
                    for task in tasks
                    for part in (number[task.queue], to_bytes(task.id), task.token)
                ),
            ],
        )
        return [word.decode() for word in answers]

    def sweep(self, queues: Iterable[str], *, second_look: float) -> list[SweepEvent]:
        """One housekeeping round over these queues; repeats at once while more is due."""
        bases = [self.layout.queue(queue).base for queue in queues]
        names = ("swept", "waiting", "suspects", "trimmed")
        ours = [*(self.layout.ours + name for name in names), self.layout.outbox]
        kept = self.retention
        events: list[SweepEvent] = []
        for _ in range(20):
            more, found = self.call(
                scripts.SWEEP,
                [*ours, *bases],
                [
                    self.layout.tasks,
                    *kept.of_archived,
                    kept.crash_limit,
                    second_look,
                    self.channels.news(""),
                    kept.terms(self.layout),
                ],
            )
            for kind, task_id, base in found:
                queue = self.layout.queue_of_base(to_text(base))
                events.append(SweepEvent(to_text(kind), to_text(task_id), queue))
            if not more:
                break
        return events

    def call(
        self, script: scripts.Script, keys: Sequence[object], args: Sequence[object], **how: Any
    ) -> Any:
        """A script's answer; for `how` see `Lines.execute_command`."""
        try:  # as `explained`, which takes longer
            return script(self._lines, keys, args, **how)
        except FAILURES as error:
            raise failure_of(error, self.where) from None
