"""Whatever happens in whatever order, every task is in exactly one place.

A short walk in `make test`; 10,000 steps and more with RUNQY_CHAOS=full, as in `make chaos`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar

import pytest
import redis as redis_py
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from runqy_notebook.broker.control import Control
from runqy_notebook.broker.doctor import Doctor
from runqy_notebook.broker.exchanges import Exchange
from runqy_notebook.broker.findings import Kind
from runqy_notebook.broker.guardian import DOUBTFUL, NOT_STARTED, PROVEN
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.errors import TaskConflictError
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import to_bytes
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.wire.states import State
from tests import picture
from tests.broking import (
    SETS,
    archived,
    broker_of,
    claim,
    crashed,
    done,
    enqueue,
    exchange,
    let_waiting_be_due,
    lose,
    push,
    released,
    retried,
    settle,
    sweep,
)
from tests.chaos.scale import size

EXAMPLES, STEPS = size(short=25, full=140), size(short=50, full=100)
FULL_STEPS = 10_000  # no fewer in the full form
QUEUES = ("mail_default", "mail_high")
OUTCOMES: tuple[Callable[[Task], Outcome], ...] = (done, archived, released, retried, crashed)

ids = st.sampled_from(["a", "b", "c", "d|1|e", "\udcff\r\n"])
queues = st.sampled_from(QUEUES)
wants = st.integers(1, 4)
slots = st.sampled_from(["w/1", "w/2"])
picks = st.integers(0, 99)  # of what there is, whatever it is: no choice depends on the server


class Tasks(RuleBasedStateMachine):
    """The model: who holds which task, who may still write an outcome down, and who may not."""

    server: redis_py.Redis
    steps: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        self.server.flushall()
        self.server.sadd("asynq:queues", *QUEUES)
        self.broker = broker_of(self.server, completed_cap=3, archived_cap=3)
        self.control = Control(self.broker, Inspector(self.server))
        self.held: list[Task] = []  # by living workers of ours
        self.silent: list[Task] = []  # by workers of which nobody hears; taken away at some time
        self.lost: list[Task] = []  # settled or taken away: their tokens count no more
        self.cancelling: set[bytes] = set()  # tokens of tasks that run and are to be cancelled
        self.popped: list[tuple[str, bytes]] = []  # by foreign workers, and in no list
        self.foreign: list[tuple[str, bytes]] = []  # listed in active by foreign workers
        self.seen: set[bytes] = set()
        self.twice: set[bytes] = set()  # put into more than one place by a producer
        self.once_twice: set[bytes] = set()  # its record may have ended in one of the places
        self.look()

    # --- what producers do

    @rule(task_id=ids, queue=queues, due=st.sampled_from(["0", "+1000"]))
    def enqueue(self, task_id: str, queue: str, due: str) -> None:
        with suppress(TaskConflictError):
            enqueue(self.broker, task_id, queue=queue, due=due)
            self.note(task_id)

    @rule(task_id=ids, queue=queues)
    def enqueue_unique(self, task_id: str, queue: str) -> None:
        if not enqueue(self.broker, task_id, queue=queue, unique_age=0):
            self.note(task_id)

    @rule(task_id=ids, queue=queues, state=st.sampled_from(["", "pending", "completed", "retry"]))
    def foreign_push(self, task_id: str, queue: str, state: str) -> None:
        push(self.server, to_bytes(task_id), queue, **({"state": state} if state else {}))
        self.note(task_id)

    @rule(task_id=ids, queue=queues)
    def foreign_push_before_its_hash(self, task_id: str, queue: str) -> None:
        self.server.lpush(f"asynq:{queue}:pending", to_bytes(task_id))
        self.note(task_id)

    @rule(pick=picks)
    def foreign_hash_comes_late(self, pick: int) -> None:
        """For an id that waits for it."""
        late = [
            each
            for each in self.seen
            if self.now.hashes[each].ttl == -2 and {"pending", "waiting"} & {*self.places(each)}
        ]
        if late:
            task_id = sorted(late)[pick % len(late)]
            self.server.hset(b"asynq:t:" + task_id, mapping={"payload": "{}", "queue": QUEUES[0]})

    @rule(task_id=ids)
    def foreign_deletion_of_a_finished_task(self, task_id: str) -> None:
        if self.places(to_bytes(task_id)) in ([], ["completed"], ["archived"]):
            self.server.delete(b"asynq:t:" + to_bytes(task_id))

    @rule(queue=queues, is_paused=st.booleans())
    def pause_or_resume(self, queue: str, is_paused: bool) -> None:
        key = f"asynq:{queue}:paused"
        self.server.set(key, "1") if is_paused else self.server.delete(key)

    # --- what foreign workers do: BRPOP, LPUSH active, LREM, and retries from memory

    @rule(queue=queues)
    def foreign_pop(self, queue: str) -> None:
        if task_id := self.server.rpop(f"asynq:{queue}:pending"):
            self.popped.append((queue, task_id))

    @precondition(lambda self: self.popped)
    @rule(pick=picks)
    def foreign_start(self, pick: int) -> None:
        queue, task_id = self.popped.pop(pick % len(self.popped))
        self.server.lpush(f"asynq:{queue}:active", task_id)
        self.server.hset(b"asynq:t:" + task_id, "state", "active")
        self.foreign.append((queue, task_id))

    @precondition(lambda self: self.foreign)
    @rule(pick=picks, state=st.sampled_from(["completed", "archived", "retry"]))
    def foreign_end(self, pick: int, state: str) -> None:
        queue, task_id = self.foreign.pop(pick % len(self.foreign))
        self.server.lrem(f"asynq:{queue}:active", 1, task_id)
        self.server.hset(b"asynq:t:" + task_id, "state", state)
        if state == "retry":
            self.popped.append((queue, task_id))

    @precondition(lambda self: self.popped)
    @rule(pick=picks)
    def foreign_requeue(self, pick: int) -> None:
        queue, task_id = self.popped.pop(pick % len(self.popped))
        self.server.lpush(f"asynq:{queue}:pending", task_id)
        self.server.hset(b"asynq:t:" + task_id, "state", "pending")

    # --- what workers of ours do

    @rule(queue=queues, want=wants, slot=slots, replay=st.booleans())
    def claim(self, queue: str, want: int, slot: str, replay: bool) -> None:
        paused = {name for name in QUEUES if self.server.exists(f"asynq:{name}:paused")}
        fresh = self.ask(exchange(queues=(queue, *QUEUES), want=want, slot=slot), replay)
        assert not paused & {task.queue for task in fresh}

    @precondition(lambda self: self.held)
    @rule(
        pick=picks, outcome=st.sampled_from(OUTCOMES), want=wants, slot=slots, replay=st.booleans()
    )
    def settle_and_claim(
        self, pick: int, outcome: Callable[[Task], Outcome], want: int, slot: str, replay: bool
    ) -> None:
        task = self.held.pop(pick % len(self.held))
        asked = exchange(outcome(task), queues=QUEUES, want=want, slot=slot)
        self.ask(asked, replay, [self.expected_of(task)])
        self.lost.append(task)

    @rule(slot=slots, want=wants)
    def a_request_arrives_after_it_was_repeated_and_answered(self, slot: str, want: int) -> None:
        first = exchange(queues=QUEUES, want=want, slot=slot)
        self.ask(exchange(queues=QUEUES, want=want, slot=slot), again=True)
        self.look()

        late = self.broker.settle(first, lease=1000.0)

        assert (late.answers, late.tasks) == ([], [])
        before = self.now
        self.look()
        assert self.now == before

    @precondition(lambda self: self.lost)
    @rule(pick=picks, outcome=st.sampled_from(OUTCOMES))
    def settle_too_late(self, pick: int, outcome: Callable[[Task], Outcome]) -> None:
        task = self.lost[pick % len(self.lost)]
        assert settle(self.broker, outcome(task))[0] in ("FENCED", "GONE")

    @rule()
    def renew(self) -> None:
        words = ["CANCELLED" if t.token in self.cancelling else "HELD" for t in self.held]
        assert self.broker.renew(self.held, lease=1000.0) == words
        assert set(self.broker.renew(self.lost, lease=1000.0)) <= {"LOST"}

    # --- what happens to workers of ours

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def fall_silent(self, pick: int) -> None:
        task = self.held.pop(pick % len(self.held))
        key = f"asynq:{task.queue}:lease"
        assert self.server.zadd(key, {to_bytes(task.id): 1.0}, xx=True, ch=True)
        self.silent.append(task)

    @precondition(lambda self: self.silent)
    @rule(pick=picks)
    def come_back(self, pick: int) -> None:
        task = self.silent.pop(pick % len(self.silent))
        word = self.broker.renew([task], lease=1000.0)[0]
        assert (word != "LOST") == self.is_still_its_own(task)
        (self.lost if word == "LOST" else self.held).append(task)

    @precondition(lambda self: self.silent)
    @rule(pick=picks, outcome=st.sampled_from(OUTCOMES))
    def end_in_silence(self, pick: int, outcome: Callable[[Task], Outcome]) -> None:
        """Whose lease ended may still settle, as long as nobody took the task away."""
        task = self.silent.pop(pick % len(self.silent))
        word = settle(self.broker, outcome(task))[0]
        assert (word == self.expected_of(task)) == self.is_still_its_own(task)
        self.lost.append(task)

    @precondition(lambda self: self.held)
    @rule(pick=picks, blame=st.sampled_from([NOT_STARTED, DOUBTFUL, PROVEN]))
    def die_beside_a_guardian(self, pick: int, blame: int) -> None:
        task = self.held.pop(pick % len(self.held))
        assert lose(self.server, (task, blame))[0] in ("redelivered", "crashed", "cancelled")
        self.lost.append(task)

    @precondition(lambda self: self.held)
    @rule(slot=slots)
    def die_before_the_start(self, slot: str) -> None:
        """With what a slot had claimed last."""
        lose(self.server, slots=[slot])
        self.look()
        gone = [task for task in self.held if not self.is_still_its_own(task)]
        assert all(f"|{slot}:".encode() in task.token for task in gone)
        self.held = [task for task in self.held if task not in gone]
        self.lost += gone

    @rule()
    def sweep(self) -> None:
        sweep(self.broker, *QUEUES)

    @rule()
    def time_goes_by(self) -> None:
        for queue in QUEUES:
            for name in ("retry", "scheduled"):
                key = f"asynq:{queue}:{name}"
                self.server.zunionstore(key, {key: 0.0})
        let_waiting_be_due(self.server)
        sweep(self.broker, *QUEUES)

    # --- what people do

    @rule(task_id=ids)
    def cancel(self, task_id: str) -> None:
        (answer,) = self.control.cancel([task_id])
        before = self.now.hashes.get(to_bytes(task_id))
        self.look()
        if answer.word == "CANCELLING":
            assert before is not None
            assert before.claim is not None
            self.cancelling.add(before.claim)
        elif answer.word == "CANCELLED":
            places = self.now.of(to_bytes(task_id))
            assert places == ["archived"] or to_bytes(task_id) in self.twice
        else:
            assert answer.word in ("FINISHED", "FOREIGN", "GONE", "NOWHERE")

    @rule(task_id=ids)
    def run_now(self, task_id: str) -> None:
        answer = self.control.run_now(task_id)
        if answer.word in ("NEXT", "AGAIN"):
            front = self.server.lindex(f"asynq:{answer.queue}:pending", -1)
            assert front == to_bytes(task_id)
            self.note(task_id)
        else:
            assert answer.word in ("RUNNING", "FOREIGN", "WAITING", "GONE", "NOWHERE")

    @rule(task_id=ids)
    def delete(self, task_id: str) -> None:
        (answer,) = self.control.delete([task_id])
        assert answer.word in ("DELETED", "RUNNING", "FOREIGN", "GONE")
        if answer.word == "DELETED":
            self.look()
            assert self.now.of(to_bytes(task_id)) == [] or to_bytes(task_id) in self.twice

    @rule(queue=queues, state=st.sampled_from(["pending", *SETS]))
    def purge(self, queue: str, state: str) -> None:
        answers = self.control.purge(queue, State(state), 999)
        assert {answer.word for answer in answers} <= {"DELETED"}
        self.look()
        assert [p for p in self.now.places if (p.queue, p.name) == (queue, state)] == []
        for task_id in self.seen:  # what a foreign worker may keep for a retry is spared: none does
            is_spared = self.now.hashes[task_id].state in (b"retry", b"scheduled")
            if is_spared and not self.places(task_id):
                self.server.delete(b"asynq:t:" + task_id)

    # --- what must hold

    @invariant()
    def all_is_well(self) -> None:
        type(self).steps += 1
        self.look()
        self.every_task_is_in_exactly_one_place()
        self.active_leases_tokens_and_holders_are_the_same()
        self.nothing_unfinished_expires()

    def every_task_is_in_exactly_one_place(self) -> None:
        for task_id in self.seen:
            places, found = self.places(task_id), self.now.hashes[task_id]
            if len(places) <= 1:
                self.twice.discard(task_id)
            assert len(places) <= 1 or task_id in self.twice, places
            if not places:  # finished by an outsider, or its record went by the cap
                assert found.ttl == -2 or found.state in (b"completed", b"archived")
                assert found.claim is None

    def active_leases_tokens_and_holders_are_the_same(self) -> None:
        leased, active = self.now.all("lease"), self.now.all("active")
        held = sorted((task.queue, to_bytes(task.id)) for task in self.held)
        # Once a lease has ended, its id may be claimed in another queue; the sweep then clears up.
        ended = {(task.queue, to_bytes(task.id)) for task in (*self.silent, *self.lost)}
        assert active == sorted(leased + self.foreign)
        assert set(leased) - ended <= set(held) <= set(leased)
        assert len(set(held)) == len(held)
        for task in self.held:
            assert self.now.hashes[to_bytes(task.id)].claim == task.token

    def nothing_unfinished_expires(self) -> None:
        for task_id in self.seen - self.once_twice:
            if self.places(task_id) in (["retry"], ["scheduled"]):
                assert self.now.hashes[task_id].ttl == -1
        for task in self.held:
            if to_bytes(task.id) not in self.once_twice:
                assert self.now.hashes[to_bytes(task.id)].ttl == -1

    def teardown(self) -> None:
        """In the end everything that was not finished runs, and the doctor finds nothing."""
        if not hasattr(self, "now"):
            return
        try:
            self._end()
        finally:
            self.broker._lines.close()

    def _end(self) -> None:
        self.server.delete(*(f"asynq:{queue}:paused" for queue in QUEUES))
        while self.popped:
            self.foreign_start(0)
        while self.foreign:
            self.foreign_end(0, "completed")
        for task in self.held:
            assert settle(self.broker, done(task)) == [self.expected_of(task)]
        for _ in range(50):
            self.time_goes_by()
            for task in claim(self.broker, *QUEUES, want=10):
                assert settle(self.broker, done(task)) == ["OK"]
        self.look()
        left = {p for p in self.now.places if p.name not in picture.FINISHED}
        assert not left
        assert not self.server.exists("asynq:nb:waiting", "asynq:nb:suspects")
        doctor = Doctor(self.server, "the test server")
        doctor.examine(patience=0, served=["mail"])
        found = doctor.examine(patience=0, served=["mail"])
        assert [each for each in found if each.kind is not Kind.SERVER] == []

    # --- inside

    def ask(
        self, asked: Exchange, again: bool = False, answers: list[str] | None = None
    ) -> list[Task]:
        """A slot's call, made once more after its reply was lost; the tasks that it claims."""
        first = self.broker.settle(asked, lease=1000.0)
        if again:
            assert self.broker.settle(asked, lease=1000.0, again=True) == first
        assert first.answers == (answers or [])
        self.held += first.tasks
        return first.tasks

    def expected_of(self, task: Task) -> str:
        """What is answered to an outcome of a task that is still its worker's."""
        return "CANCELLED" if task.token in self.cancelling else "OK"

    def is_still_its_own(self, task: Task) -> bool:
        """Whether nobody took it away, by the last look."""
        has_lease = (task.queue, to_bytes(task.id)) in self.now.all("lease")
        return has_lease and self.now.hashes[to_bytes(task.id)].claim == task.token

    def look(self) -> None:
        self.now = picture.take(self.server, QUEUES, self.seen)

    def places(self, task_id: bytes) -> list[str]:
        """Where a task is: in Redis, or in a foreign worker's hand."""
        return self.now.of(task_id) + ["popped" for _, each in self.popped if each == task_id]

    def note(self, task_id: str) -> None:
        """Producers put an id where they like; ours never into two places of one queue."""
        self.seen.add(to_bytes(task_id))
        self.look()
        if len(self.places(to_bytes(task_id))) > 1:
            self.twice.add(to_bytes(task_id))
            self.once_twice.add(to_bytes(task_id))


@pytest.fixture
def machine(redis: redis_py.Redis) -> type[Tasks]:
    return type("TasksOnAServer", (Tasks,), {"server": redis})


def test_every_task_is_in_exactly_one_place(machine: type[Tasks]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )

    print(f"{machine.steps} steps")
    assert machine.steps >= size(short=EXAMPLES, full=FULL_STEPS), f"{machine.steps} steps only"
