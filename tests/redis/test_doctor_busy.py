"""The doctor on a busy Redis and on a large one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import redis as redis_py

from runqy_notebook.broker.doctor import Doctor, Kind
from tests.broking import BASE, QUEUE, broker_of, done, exchange, push
from tests.examining import beat, lose, problems, twice
from tests.interop.foreign import ForeignWorker, Taken
from tests.waiting import wait_until


class Outsider(ForeignWorker):
    """A foreign worker that drops what it took before it listed it as active, while told to."""

    drops = 0

    def take(self, seconds: float = 2.0) -> Taken | None:
        if not self.drops:
            return super().take(seconds)
        popped = self.redis.brpop([f"asynq:{q}:pending" for q in self.queues], timeout=seconds)
        if popped:
            self.dropped.append(popped[1].decode())
            self.drops -= 1
        return None

    dropped: list[str]


@contextmanager
def ours(url: str, count: int) -> Iterator[list[str]]:
    """Workers of ours that run tasks as slots do; gives the ids that they completed."""
    stopping = threading.Event()
    completed: list[str] = []

    def serve(slot: str) -> None:
        redis = redis_py.Redis.from_url(url)
        broker = broker_of(redis)
        held: list[Any] = []
        while held or not stopping.is_set():
            want = 0 if stopping.is_set() else 1
            asked = exchange(*map(done, held), queues=(QUEUE,), want=want, slot=slot)
            settled = broker.settle(asked, lease=15.0)
            completed.extend(task.id for task in held)
            held = settled.tasks
            sweep_now = broker.sweep((QUEUE,), second_look=5.0)
            assert all(event.kind == "suspect" for event in sweep_now)
        redis.close()

    threads = [threading.Thread(target=serve, args=(f"w{n}/1",)) for n in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield completed
    finally:
        stopping.set()
        for thread in threads:
            thread.join()


@contextmanager
def outsiders(url: str, count: int, ran: list[str]) -> Iterator[list[Outsider]]:
    """Foreign workers on threads of their own; `ran` collects the payloads they worked on."""
    clients = [redis_py.Redis.from_url(url) for _ in range(count)]
    workers = [Outsider(client, (QUEUE,)) for client in clients]
    with ExitStack() as stack:
        for worker in workers:
            worker.dropped = []
            stack.enter_context(worker.serving(lambda payload: ran.append(payload["id"])))
        yield workers
    for client in clients:
        client.close()


def push_many(redis: redis_py.Redis, ids: list[str], queue: str = QUEUE) -> None:
    for at in range(0, len(ids), 1000):
        pipe = redis.pipeline(transaction=False)
        for task_id in ids[at : at + 1000]:
            payload = f'{{"id": "{task_id}"}}'
            recipe = {"type": "task", "payload": payload, "queue": queue, "max_retry": "3"}
            pipe.hset(f"asynq:t:{task_id}", mapping=recipe)
            pipe.lpush(f"asynq:{queue}:pending", task_id)
        pipe.execute()


def is_drained(redis: redis_py.Redis) -> bool:
    return not redis.exists(BASE + "pending", BASE + "active", BASE + "lease", "asynq:nb:waiting")


def test_a_busy_healthy_system_gives_no_findings(
    redis: redis_py.Redis, url: str, doctor: Doctor
) -> None:
    ids = [f"t{number}" for number in range(2000)]
    beat(redis)
    ran: list[str] = []

    with outsiders(url, 3, ran), ours(url, 3) as completed:
        feeding = threading.Thread(target=push_many, args=(redis_py.Redis.from_url(url), ids))
        feeding.start()
        found = [each for _ in range(20) for each in problems(doctor, patience=0.5, repair=True)]
        feeding.join()
        wait_until(lambda: is_drained(redis), "the queue was not drained", 20)

    assert found == []
    assert sorted(completed + ran) == sorted(ids)
    assert completed
    assert ran


def test_ids_that_outsiders_drop_are_listed_and_nothing_else(
    redis: redis_py.Redis, url: str, doctor: Doctor
) -> None:
    ids = [f"t{number}" for number in range(1500)]
    ran: list[str] = []

    with outsiders(url, 3, ran) as workers, ours(url, 3) as completed:
        for worker, drops in zip(workers, (7, 7, 6), strict=True):
            worker.drops = drops
        push_many(redis, ids)
        wait_until(
            lambda: is_drained(redis) and not any(worker.drops for worker in workers),
            "the queue was not drained",
            20,
        )
        dropped = {task_id for worker in workers for task_id in worker.dropped}
        assert problems(doctor, patience=0.1) == []
        wait_until(
            lambda: len(problems(doctor, patience=0.1)) == 20, "the dropped ids were not listed"
        )
        found = problems(doctor, patience=0.1)

    assert {each.task_id for each in found} == dropped
    assert {each.kind for each in found} == {Kind.LOST}
    assert sorted([*completed, *ran, *dropped]) == sorted(ids)


def test_a_hundred_thousand_tasks_are_examined_in_seconds(
    redis: redis_py.Redis, url: str, doctor: Doctor
) -> None:
    push_many(redis, [f"t{number:036}" for number in range(100_000)])
    lose(redis, "lost")
    redis.lpush(BASE + "active", "abandoned")
    push(redis, "pushed twice")
    redis.lpush(BASE + "pending", "pushed twice")
    redis.config_resetstat()
    problems(doctor)

    began = time.monotonic()
    found = doctor.examine(patience=0, served=["mail"])
    took = time.monotonic() - began

    calls: Any = redis.info("commandstats")
    kinds = {each.task_id: each.kind for each in found if each.task_id}
    assert kinds == {
        "lost": Kind.LOST,
        "abandoned": Kind.ABANDONED,
        "pushed twice": Kind.TWICE,
    }
    assert took < 5
    assert max(call["usec_per_call"] for call in calls.values()) < 20_000
    assert "cmdstat_keys" not in calls


def test_thousands_of_lost_ids_are_found_and_given_back(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    push_many(redis, [f"t{number}" for number in range(3000)])
    redis.delete(BASE + "pending")

    assert len(twice(doctor)) == 3000
    problems(doctor, repair=True)

    assert redis.llen(BASE + "pending") == 3000
    assert twice(doctor) == []
