"""Whatever happens in whatever order, every task is in exactly one place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import redis as redis_py
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from runqy_notebook.broker.control import Control
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.errors import TaskConflictError
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import to_text
from runqy_notebook.wire.outcomes import Outcome
from runqy_notebook.wire.states import State
from tests.broking import (
    archived,
    broker_of,
    claim,
    done,
    enqueue,
    exchange,
    let_waiting_be_due,
    push,
    released,
    retried,
    settle,
    sweep,
)

QUEUES = ("mail_default", "mail_high")
LISTS = ("pending", "active")
SETS = ("retry", "scheduled", "archived", "completed")
OUTCOMES: tuple[Callable[[Task], Outcome], ...] = (done, archived, released, retried)

ids = st.sampled_from(["a", "b", "c", "d|1|e", "\udcff\r\n"])
queues = st.sampled_from(QUEUES)
wants = st.integers(1, 4)
picks = st.integers(0, 99)  # of the tasks held, whichever they are: no choice depends on the server


class Tasks(RuleBasedStateMachine):
    """The model is the leases: who may still write an outcome down, and who may not any more."""

    server: redis_py.Redis

    def __init__(self) -> None:
        super().__init__()
        self.server.flushall()
        self.broker = broker_of(self.server, completed_cap=3, archived_cap=3)
        self.control = Control(self.broker, Inspector(self.server))
        self.controlled_twice: set[str] = set()  # pushed twice, and one of them cancelled or so
        self.cancelling: set[bytes] = set()  # tokens of held tasks that were told to end
        self.held: list[Task] = []
        self.lost: list[Task] = []
        self.last_claim: Any = None
        self.seen: set[str] = set()
        self.pushed_twice: set[str] = set()  # by an outsider, while the id was still somewhere

    # --- what producers do

    @rule(task_id=ids, queue=queues, due=st.sampled_from(["0", "+1000"]))
    def enqueue(self, task_id: str, queue: str, due: str) -> None:
        with suppress(TaskConflictError):
            enqueue(self.broker, task_id, queue=queue, due=due)
            self.note(task_id, queue, is_new=True)

    @rule(task_id=ids, queue=queues)
    def enqueue_unique(self, task_id: str, queue: str) -> None:
        if not enqueue(self.broker, task_id, queue=queue, unique_age=0):
            self.note(task_id, queue, is_new=True)

    @rule(task_id=ids, queue=queues, state=st.sampled_from(["", "pending", "completed", "retry"]))
    def foreign_push(self, task_id: str, queue: str, state: str) -> None:
        self.note(task_id, queue, is_new=False)
        push(self.server, raw(task_id), queue, **({"state": state} if state else {}))

    @rule(task_id=ids, queue=queues)
    def foreign_push_before_its_hash(self, task_id: str, queue: str) -> None:
        self.note(task_id, queue, is_new=False)
        self.server.lpush(f"asynq:{queue}:pending", raw(task_id))

    @rule(task_id=ids)
    def foreign_deletion_of_a_finished_task(self, task_id: str) -> None:
        if self.places(task_id) in ([], ["completed"], ["archived"]):
            self.server.delete(b"asynq:t:" + raw(task_id))

    # --- what workers do

    @rule(queue=queues, want=wants, replay=st.booleans())
    def claim(self, queue: str, want: int, replay: bool) -> None:
        asked = exchange(queues=(queue, *QUEUES), want=want)
        first = self.broker.settle(asked, lease=1000.0)
        if replay:
            assert self.broker.settle(asked, lease=1000.0, again=True) == first
        self.held += first.tasks

    @rule(pick=picks, outcome=st.sampled_from(OUTCOMES), want=wants, replay=st.booleans())
    def settle_and_claim(
        self, pick: int, outcome: Callable[[Task], Outcome], want: int, replay: bool
    ) -> None:
        if not self.held:
            return
        task = self.held.pop(pick % len(self.held))
        asked = exchange(outcome(task), queues=QUEUES, want=want)
        answer = self.broker.settle(asked, lease=1000.0)
        if replay:
            assert self.broker.settle(asked, lease=1000.0, again=True) == answer
        assert answer.answers == [self.expected_of(task)]
        self.held += answer.tasks
        self.lost.append(task)

    @rule(pick=picks, outcome=st.sampled_from(OUTCOMES))
    def settle_too_late(self, pick: int, outcome: Callable[[Task], Outcome]) -> None:
        if self.lost:
            task = self.lost[pick % len(self.lost)]
            assert settle(self.broker, outcome(task))[0] in ("FENCED", "GONE")

    @rule()
    def renew(self) -> None:
        words = ["CANCELLED" if t.token in self.cancelling else "HELD" for t in self.held]
        assert self.broker.renew(self.held, lease=1000.0) == words
        assert "HELD" not in self.broker.renew(self.lost, lease=1000.0)

    @rule(pick=picks)
    def crash(self, pick: int) -> None:
        """A worker dies, and everybody notices."""
        if not self.held:
            return
        task = self.held.pop(pick % len(self.held))
        self.server.zadd(f"asynq:{task.queue}:lease", {raw(task.id): 1.0}, xx=True)
        sweep(self.broker, *QUEUES)
        sweep(self.broker, *QUEUES)
        self.lost.append(task)

    @rule(pick=picks)
    def freeze_and_come_back(self, pick: int) -> None:
        """A worker is silent for long, is suspected, and renews in time."""
        if not self.held:
            return
        task = self.held[pick % len(self.held)]
        self.server.zadd(f"asynq:{task.queue}:lease", {raw(task.id): 1.0}, xx=True)
        sweep(self.broker, *QUEUES)
        assert self.broker.renew([task], lease=1000.0) in (["HELD"], ["CANCELLED"])
        sweep(self.broker, *QUEUES)

    @rule()
    def time_goes_by(self) -> None:
        for queue in QUEUES:
            for name in ("retry", "scheduled"):
                for member in self.server.zrange(f"asynq:{queue}:{name}", 0, -1):
                    self.server.zadd(f"asynq:{queue}:{name}", {member: 1.0})
        let_waiting_be_due(self.server)
        sweep(self.broker, *QUEUES)

    # --- what people do

    @rule(task_id=ids)
    def cancel(self, task_id: str) -> None:
        self.controlled_twice |= {task_id} & self.pushed_twice
        (answer,) = self.control.cancel([task_id])
        if answer.word == "CANCELLING":
            (task,) = (task for task in self.held if task.id == task_id)
            self.cancelling.add(task.token)
        elif answer.word == "CANCELLED" and task_id not in self.pushed_twice:
            assert self.places(task_id) == ["archived"]
        else:
            assert answer.word in ("CANCELLED", "FINISHED", "GONE", "NOWHERE")

    @rule(task_id=ids)
    def run_now(self, task_id: str) -> None:
        self.controlled_twice |= {task_id} & self.pushed_twice
        answer = self.control.run_now(task_id)
        if answer.word in ("NEXT", "AGAIN"):
            front = self.server.lindex(f"asynq:{answer.queue}:pending", -1)
            assert front == raw(task_id)
            self.seen.add(task_id)
        else:
            assert answer.word in ("RUNNING", "WAITING", "GONE", "NOWHERE")

    @rule(task_id=ids)
    def delete(self, task_id: str) -> None:
        (answer,) = self.control.delete([task_id])
        assert answer.word in ("DELETED", "RUNNING", "GONE")
        if answer.word == "DELETED" and task_id not in self.pushed_twice:
            assert self.places(task_id) == []

    @rule(queue=queues, state=st.sampled_from(["pending", *SETS]))
    def purge(self, queue: str, state: str) -> None:
        gone = {answer.task_id for answer in self.control.purge(queue, State(state), 1000)}
        self.controlled_twice |= gone & self.pushed_twice
        kind = self.server.llen if state == "pending" else self.server.zcard
        assert kind(f"asynq:{queue}:{state}") == 0

    # --- what must hold

    @invariant()
    def every_task_is_in_exactly_one_place(self) -> None:
        for task_id in self.seen:
            places = self.places(task_id)
            if task_id in self.pushed_twice:
                assert places.count("active") <= 1, places
            elif places:
                assert len(places) == 1, places
            else:
                # Trimmed by the cap, or deleted by an outsider once it was finished.
                assert not self.server.hexists(b"asynq:t:" + raw(task_id), "claim")

    @invariant()
    def active_leases_tokens_and_holders_are_the_same(self) -> None:
        leased = {
            (queue, to_text(member))
            for queue in QUEUES
            for member in self.server.zrange(f"asynq:{queue}:lease", 0, -1)
        }
        active = [
            (queue, to_text(member))
            for queue in QUEUES
            for member in self.server.lrange(f"asynq:{queue}:active", 0, -1)
        ]
        assert sorted(active) == sorted(leased)
        assert sorted((task.queue, task.id) for task in self.held) == sorted(active)
        for task in self.held:
            assert self.server.hget(b"asynq:t:" + raw(task.id), "claim") == task.token

    @invariant()
    def nothing_unfinished_expires(self) -> None:
        for task_id in self.seen - self.controlled_twice:
            if {"pending", "active", "retry", "scheduled"} & set(self.places(task_id)):
                key = b"asynq:t:" + raw(task_id)
                if "pending" not in self.places(task_id):
                    assert self.server.ttl(key) == -1

    def teardown(self) -> None:
        """In the end everything that was not finished runs."""
        for task in self.held:
            assert settle(self.broker, done(task)) == [self.expected_of(task)]
        for _ in range(50):
            self.time_goes_by()
            for task in claim(self.broker, *QUEUES, want=10):
                assert settle(self.broker, done(task)) == ["OK"]
        for queue in QUEUES:
            for name in ("pending", "active", "lease", "retry", "scheduled"):
                assert not self.server.exists(f"asynq:{queue}:{name}"), name
        assert not self.server.exists("asynq:nb:waiting", "asynq:nb:suspects")

    # --- inside

    def expected_of(self, task: Task) -> str:
        """What is answered to an outcome of this held task."""
        return "CANCELLED" if task.token in self.cancelling else "OK"

    def note(self, task_id: str, queue: str, *, is_new: bool) -> None:
        """Outsiders may put an id into two places; ours never do, within one queue."""
        self.seen.add(task_id)
        others = self.places(task_id)
        if (not is_new and others) or (is_new and len(others) > 1):
            self.pushed_twice.add(task_id)

    def places(self, task_id: str) -> list[str]:
        wanted = raw(task_id)
        found = []
        for queue in QUEUES:
            base = f"asynq:{queue}:"
            for name in LISTS:
                found += [name for m in self.server.lrange(base + name, 0, -1) if m == wanted]
            for name in SETS:
                if self.server.zscore(base + name, wanted) is not None:
                    found.append(name)
        for member in self.server.zrange("asynq:nb:waiting", 0, -1):
            if member.split(b"|", 2)[2] == wanted:
                found.append("waiting")
        return found


def raw(task_id: str) -> bytes:
    return task_id.encode("utf-8", "surrogateescape")


@pytest.fixture
def machine(redis: redis_py.Redis) -> type[Tasks]:
    return type("TasksOnAServer", (Tasks,), {"server": redis})


def test_every_task_is_in_exactly_one_place(machine: type[Tasks]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=50,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
