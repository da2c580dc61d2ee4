"""A claim that stands behind a wait: run by the server at once, and by nobody who is not there."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker.ahead import Ahead
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.waiter import Waiter
from runqy_notebook.errors import ConnectionFailedError
from tests.broking import QUEUE, done, enqueue, exchange, push, settle
from tests.waiting import wait_until
from tests.working import Log, add, add_loader, registry_of, working

OTHER = "mail_high"
BOTH = (OTHER, QUEUE)


@pytest.fixture(autouse=True)
def known(broker: Broker) -> None:
    """The server has the script."""
    broker.settle(exchange(), lease=15.0)


def ahead(broker: Broker, *queues: str, want: int = 1) -> Ahead:
    return broker.ahead(exchange(queues=queues or (QUEUE,), want=want), lease=15.0)


def taken(broker: Broker, claim: Ahead) -> list[str]:
    return [task.id for task in broker.settled(claim.answer).tasks]


def pending(redis: redis_py.Redis, queue: str = QUEUE) -> int:
    return int(redis.llen(f"asynq:{queue}:pending"))


def active(redis: redis_py.Redis, queue: str = QUEUE) -> list[bytes]:
    return list(redis.lrange(f"asynq:{queue}:active", 0, -1))


def is_left_alone(redis: redis_py.Redis) -> bool:
    """Whether a task that comes now stays in its queue."""
    push(redis, "t1")
    time.sleep(0.1)
    return pending(redis) == 1


@contextmanager
def pushed_later(redis: redis_py.Redis, task_id: str) -> Iterator[None]:
    """Within it a task comes."""
    pushing = threading.Timer(0.05, push, [redis, task_id])
    pushing.start()
    yield
    pushing.join()


def test_a_task_is_claimed_by_the_answer_that_tells_of_it(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker)

    with pushed_later(redis, "t1"):
        assert waiter.wait([QUEUE], 5, claim) == QUEUE

    assert claim.has_tasks
    assert taken(broker, claim) == ["t1"]
    assert active(redis) == [b"t1"]
    assert redis.zcard(f"asynq:{QUEUE}:lease") == 1


def test_tasks_of_two_queues_at_once_are_claimed_once(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker, *BOTH)
    waiter.wait(BOTH, 0.05, claim)

    with redis.pipeline(transaction=True) as both:
        for queue in BOTH:
            both.hset(f"asynq:t:{queue}", mapping={"type": "task", "payload": "{}"})
            both.lpush(f"asynq:{queue}:pending", queue)
        both.execute()

    assert waiter.wait(BOTH, 5, claim) in BOTH
    assert len(taken(broker, claim)) == 1
    assert pending(redis) + pending(redis, OTHER) == 1


def test_what_it_took_is_given_again_to_who_asks_outright(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker)
    waiter.wait([QUEUE], 0.05, claim)
    enqueue(broker, "t1", "t2")
    wait_until(lambda: active(redis), "the server claimed nothing")

    (task,) = broker.settle(claim.exchange, lease=15.0).tasks

    assert task.id == "t1"
    assert pending(redis) == 1
    assert settle(broker, done(task)) == ["OK"]
    assert waiter.wait([QUEUE], 5, ahead(broker)) == QUEUE  # its answer is an old one, but t2 waits


def test_once_called_in_it_takes_nothing(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker, *BOTH)
    waiter.wait(BOTH, 0.05, claim)

    called_in = claim.exchange._replace(queues=(), want=0)
    assert broker.settle(called_in, lease=15.0, again=True).tasks == []
    enqueue(broker, "t1")
    time.sleep(0.1)

    assert pending(redis) == 1
    assert active(redis) == []


def test_calling_in_brings_what_it_took(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker)
    waiter.wait([QUEUE], 0.05, claim)
    enqueue(broker, "t1")
    wait_until(lambda: active(redis), "the server claimed nothing")

    called_in = claim.exchange._replace(queues=(), want=0)
    (task,) = broker.settle(called_in, lease=15.0, again=True).tasks

    assert task.id == "t1"


def test_one_that_stands_behind_a_wait_after_the_slot_went_on_takes_nothing(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker, *BOTH)
    waiter.wait(BOTH, 0.05, claim)
    enqueue(broker, "t1")
    assert waiter.wait(BOTH, 5, claim) == QUEUE
    (task,) = broker.settled(claim.answer).tasks
    assert settle(broker, done(task)) == ["OK"]  # the slot's next exchange

    enqueue(broker, "t2", queue=OTHER)  # where the first claim still stands
    time.sleep(0.1)

    assert pending(redis, OTHER) == 1
    following = ahead(broker, *BOTH)
    assert waiter.wait(BOTH, 5, following) == OTHER
    assert following.answer is None  # so it is asked for outright
    (task,) = broker.settle(following.exchange, lease=15.0).tasks
    assert task.id == "t2"


def test_a_server_that_forgot_the_script_only_tells_of_the_task(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    claim = ahead(broker)
    waiter.wait([QUEUE], 0.05, claim)
    redis.script_flush()
    push(redis, "t1")

    assert waiter.wait([QUEUE], 5, claim) == QUEUE

    assert claim.answer is None
    (task,) = broker.settle(claim.exchange, lease=15.0).tasks
    assert task.id == "t1"


def test_a_process_that_stands_still_takes_nothing_after_a_second(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    waiter.wait([QUEUE], 0.05, ahead(broker))
    wait_until(lambda: not redis.info("clients")["blocked_clients"], "it waits for ever", 5)

    assert is_left_alone(redis)


def test_a_process_that_is_gone_takes_nothing(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    waiter.wait([QUEUE], 0.05, ahead(broker))
    waiter.close_connections()
    wait_until(lambda: not redis.info("clients")["blocked_clients"], "it is still there")

    assert is_left_alone(redis)


def test_a_paused_queue_is_not_claimed_from(
    redis: redis_py.Redis, broker: Broker, waiter: Waiter
) -> None:
    redis.set(f"asynq:{QUEUE}:paused", "1")
    claim = ahead(broker)

    with pushed_later(redis, "t1"):
        assert waiter.wait([QUEUE], 5, claim) == QUEUE

    assert claim.answer is not None
    assert not claim.has_tasks
    assert pending(redis) == 1


def test_nothing_is_claimed_once_pause_returned(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    with working(url, registry_of(log.note)) as worker:
        for number in range(30):
            worker.pause()
            push(redis, f"t{number}")
            time.sleep(0.005)
            assert pending(redis) == 1
            worker.resume()
            wait_until(lambda n=number: len(log) == n + 1, "it did not go on")  # type: ignore[misc]


def test_tasks_that_come_while_a_worker_is_stopped_are_done_or_in_their_queue(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    for number in range(15):
        with working(url, registry_of(log.note)) as worker:
            wait_until(lambda: redis.info("clients")["blocked_clients"], "it does not wait")
            pushing = threading.Thread(target=push, args=[redis, f"t{number}"])
            pushing.start()
            worker.stop()
            pushing.join()
        assert active(redis) == []
        assert redis.zcard(f"asynq:{QUEUE}:lease") == 0
        assert redis.info("clients")["blocked_clients"] == 0

    assert len(log) + pending(redis) == 15


def test_a_slot_that_leaves_gives_back_what_the_server_claimed_for_it(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = Log()
    deaf = threading.Event()
    hears = Waiter._readable

    def readable(self: Waiter, *args: Any) -> Any:
        if not deaf.is_set():
            return hears(self, *args)
        time.sleep(0.01)
        return None if self._is_woken else []

    with working(url, registry_of(log.note)) as worker:
        wait_until(lambda: redis.info("clients")["blocked_clients"], "it does not wait")
        monkeypatch.setattr(Waiter, "_readable", readable)
        deaf.set()
        worker._idle._waiter.stay_awake()  # out of the present look, into the deaf one
        time.sleep(0.05)
        push(redis, "t1")
        wait_until(lambda: active(redis), "the server claimed nothing")
        worker.stop()

    assert log.entries == []
    assert active(redis) == []
    assert pending(redis) == 1


def test_nothing_is_claimed_for_a_slot_that_loads(redis: redis_py.Redis, url: str) -> None:
    log, begun, gate = Log(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        gate.wait(10)

    registry = registry_of(lambda payload, ctx: log.note(payload))
    with working(url, registry) as worker:
        wait_until(lambda: redis.info("clients")["blocked_clients"], "it does not wait")
        add_loader(registry, slow)
        worker.resume()  # so that it looks now, and its claims still stand
        assert begun.wait(10)
        push(redis, "t1")
        time.sleep(0.1)
        assert pending(redis) == 1
        gate.set()
        wait_until(lambda: len(log) == 1, "it did not run")


def test_what_was_claimed_before_a_loader_came_waits_for_it(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    def broken() -> None:
        raise ValueError("no model")

    registry = registry_of(lambda payload, ctx: log.note(payload))
    with working(url, registry) as worker:
        wait_until(lambda: redis.info("clients")["blocked_clients"], "it does not wait")
        add_loader(registry, broken)
        push(redis, "t1")
        wait_until(lambda: worker.load_failures, "the loader did not run")
        time.sleep(0.1)

        assert log.entries == []
        assert pending(redis) == 1
        assert active(redis) == []


def test_a_queue_that_another_slot_loads_for_is_not_run_from(
    redis: redis_py.Redis, url: str
) -> None:
    log, begun, gate = Log(), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        gate.wait(10)

    registry = registry_of(lambda payload, ctx: log.note(payload), "mail")
    add(registry, log.note, "image")
    with working(url, registry, "mail", "image", concurrency=2) as worker:
        for _ in range(5):
            wait_until(lambda: any(slot.ahead for slot in worker._crew.slots), "none stands")
            begun.clear()
            gate.clear()
            add_loader(registry, slow, "mail")
            worker.resume()
            assert begun.wait(10)
            push(redis, "a")
            push(redis, "b", "image_default")
            wait_until(lambda: log.entries[-1:] == ["b"], "the other queue waits for the loader")
            gate.set()
            wait_until(lambda: log.entries[-1:] == ["a"], "the loaded queue does not run")


@pytest.mark.parametrize("lost", [1, 2])
def test_a_call_in_that_is_lost_is_made_again(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    settle, left = Broker.settle, lost

    def losing(self: Broker, exchange: Any, **how: Any) -> Any:
        nonlocal left
        if how.get("again") and left:
            left -= 1
            raise ConnectionFailedError("here", "the connection was lost", "Try again.")
        return settle(self, exchange, **how)

    log = Log()
    with working(url, registry_of(log.note), concurrency=2) as worker:
        wait_until(lambda: any(slot.ahead for slot in worker._crew.slots), "none stands")
        worker._outage.failed(ConnectionFailedError("here", "not allowed", "Allow it."), "beating")
        monkeypatch.setattr(Broker, "settle", losing)
        leader = next(slot for slot in worker._crew.slots if slot.ahead)
        leader.leave()
        worker._idle.wake()
        assert leader.ended.wait(10)
        assert left == 0
        push(redis, "t1")
        wait_until(lambda: len(log) == 1, "it was claimed for a slot that is gone")


def test_a_claim_is_asked_for_again_after_an_error_that_nobody_expected(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle, raised = Broker.settle, False

    def failing(self: Broker, exchange: Any, **how: Any) -> Any:
        nonlocal raised
        settled = settle(self, exchange, **how)
        if settled.tasks and not raised:
            raised = True
            raise RuntimeError("no memory, say")
        return settled

    log = Log()
    with working(url, registry_of(log.note), lease=60.0) as worker:
        wait_until(lambda: any(slot.ahead for slot in worker._crew.slots), "none stands")
        monkeypatch.setattr(Broker, "settle", failing)
        monkeypatch.setattr(Waiter, "_readable", lambda self, *_: None)  # hears nothing
        worker._idle._waiter.stay_awake()  # out of the present look, into the deaf one
        time.sleep(0.05)
        push(redis, "t1")
        wait_until(lambda: len(log) == 1, "it waits for its lease", 10)

    assert raised
