"""Sessions and tasks that others made: another session, another language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

import runqy_notebook
from runqy_notebook import Session, task
from runqy_notebook.errors import (
    UnknownTaskError,
    WaitTimeoutError,
)
from tests.waiting import wait_until


def echo(payload: dict[str, Any]) -> dict[str, Any]:
    return dict(payload)


# --- two sessions ---------------------------------------------------------------------------------


def test_a_sessions_worker_runs_another_sessions_task(make_session: Callable[..., Session]) -> None:
    task(queue="q")(echo)
    producer, consumer = make_session(), make_session(store_results=True)
    consumer.start_worker("q")

    handle = producer.enqueue("q", {"n": 1})

    assert handle.result(timeout=10) == {"n": 1}


def test_without_storage_the_session_that_enqueued_hears_the_result_of_another_ones_worker(
    make_session: Callable[..., Session],
) -> None:
    task(queue="q")(echo)
    producer, consumer = make_session(), make_session()
    consumer.start_worker("q")

    handle = producer.enqueue("q", {"n": 1})

    assert handle.result(timeout=10) == {"n": 1}


def test_without_storage_who_comes_later_learns_the_end_but_not_the_result(
    make_session: Callable[..., Session],
) -> None:
    task(queue="q")(echo)
    producer, consumer = make_session(), make_session()
    consumer.start_worker("q")
    done = producer.enqueue("q", {"n": 1}).wait(timeout=10)

    handle = make_session().task(done.id)

    with pytest.raises(runqy_notebook.RunqyError, match="neither stored nor kept"):
        handle.result(timeout=10)
    assert handle.state == "completed"


def test_a_task_may_ask_for_its_own_storage(make_session: Callable[..., Session]) -> None:
    task(queue="q")(echo)
    producer, consumer = make_session(), make_session()
    consumer.start_worker("q")

    assert producer.enqueue("q", {"n": 1}, store=True).result(timeout=10) == {"n": 1}


def test_two_sessions_have_a_worker_each(make_session: Callable[..., Session]) -> None:
    task(queue="a")(lambda payload: "a")
    task(queue="b")(lambda payload: "b")
    one, other = make_session(), make_session()
    workers = {one.start_worker("a").id, other.start_worker("b").id}

    assert one.enqueue("a", {}).result(timeout=10) == "a"
    assert other.enqueue("b", {}).result(timeout=10) == "b"
    assert len(workers) == 2
    assert set(one.workers().index) == workers


def test_closing_one_session_leaves_the_other_alone(make_session: Callable[..., Session]) -> None:
    task(queue="q")(echo)
    one, other = make_session(), make_session()
    one.start_worker("q")
    other.start_worker("q")

    one.close()

    assert other.enqueue("q", {"n": 1}).result(timeout=10) == {"n": 1}


def test_sessions_of_different_databases_do_not_see_each_other(url: str) -> None:
    with Session(url) as first, Session(url.removesuffix("/0") + "/1") as second:
        task_id = first.enqueue("q", {}).id

        with pytest.raises(UnknownTaskError):
            second.task(task_id)


# --- tasks that exist already ---------------------------------------------------------------------


def push(redis: redis_py.Redis, task_id: str, queue: str = "q_default") -> None:
    """What a producer of another language does."""
    redis.hset(
        f"asynq:t:{task_id}",
        mapping={
            "type": "task",
            "payload": '{"n": 1}',
            "retry": "0",
            "max_retry": "0",
            "queue": queue,
        },
    )
    redis.lpush(f"asynq:{queue}:pending", task_id)


def test_a_task_of_another_producer_has_a_handle(session: Session, redis: redis_py.Redis) -> None:
    task(queue="q")(echo)
    push(redis, "t1")

    handle = session.task("t1")
    session.start_worker("q")

    assert handle.queue == "q_default"
    assert handle.result(timeout=10) == {"n": 1}
    assert session.task("t1") is handle


def test_a_task_that_ends_while_one_asks_for_its_handle_gives_its_result(
    session: Session, redis: redis_py.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    task(queue="q")(echo)
    worker = session.start_worker("q")
    worker.pause()
    push(redis, "t1")
    record = session.record

    def record_and_then_the_end(task_id: str) -> object:
        found = record(task_id)
        worker.resume()
        wait_until(lambda: worker.status.completed == 1, "it did not run")
        wait_until(lambda: session._inbox.kept(task_id), "its end was not reported")
        return found

    monkeypatch.setattr(session, "record", record_and_then_the_end)

    assert session.task("t1").result(timeout=10) == {"n": 1}


def test_the_result_of_a_task_that_nobody_waited_for_is_kept_for_a_while(
    session: Session, redis: redis_py.Redis
) -> None:
    task(queue="q")(echo)
    session.start_worker("q")
    push(redis, "t1")
    wait_until(lambda: redis.hget("asynq:t:t1", "state") == b"completed", "it did not run")

    assert session.wait_for_result("t1", timeout=10) == {"n": 1}


def test_a_task_that_nobody_knows_is_told(session: Session) -> None:
    with pytest.raises(UnknownTaskError, match="No task 't404' in this Redis: never enqueued"):
        session.task("t404")
    with pytest.raises(UnknownTaskError):
        session.wait_for_result("t404")


def test_waiting_for_a_result_has_an_end(session: Session, redis: redis_py.Redis) -> None:
    push(redis, "t1")

    with pytest.raises(WaitTimeoutError, match=r"Task 't1' is still pending after 0\.05 s"):
        session.wait_for_result("t1", timeout=0.05)
