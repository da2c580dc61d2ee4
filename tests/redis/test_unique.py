"""`unique`: the same task is enqueued once, however often its cell is run."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import redis as redis_py

from runqy_notebook import Session, TaskHandle, task
from runqy_notebook.errors import TaskConflictError
from tests.waiting import wait_until


@pytest.fixture
def runs() -> list[dict[str, object]]:
    """The payloads that the handler of `q` was given."""
    given: list[dict[str, object]] = []

    @task(queue="q")
    def handle(payload: dict[str, object]) -> int:
        given.append(payload)
        return len(given)

    return given


def pending(redis: redis_py.Redis) -> list[bytes]:
    found: list[bytes] = redis.lrange("asynq:q_high:pending", 0, -1)  # type: ignore[assignment]
    return found


def test_the_same_queue_and_payload_give_the_same_task(
    session: Session, redis: redis_py.Redis
) -> None:
    first = session.enqueue("q_high", {"a": 1, "b": 2}, unique=True)

    again = session.enqueue("q_high", {"b": 2, "a": 1}, unique=True)

    assert again.id == first.id
    assert pending(redis) == [first.id.encode()]


def test_another_payload_or_queue_gives_another_task(session: Session) -> None:
    made = {
        session.enqueue("q_high", {"a": 1}, unique=True).id,
        session.enqueue("q_high", {"a": 2}, unique=True).id,
        session.enqueue("q_low", {"a": 1}, unique=True).id,
        session.enqueue("q_high", {"a": 1}).id,
    }

    assert len(made) == 4


def test_a_key_stands_for_the_payload(session: Session, redis: redis_py.Redis) -> None:
    first = session.enqueue("q_high", {"at": "12:00"}, unique="report")

    again = session.enqueue("q_high", {"at": "12:01"}, unique="report")

    assert again.id == first.id
    assert redis.hget(f"asynq:t:{first.id}", "payload") == b'{"at":"12:00"}'


def test_another_session_gets_the_same_task(make_session: Callable[..., Session]) -> None:
    one, other = make_session(), make_session()

    ids = {each.enqueue("q_high", {"a": 1}, unique=True).id for each in (one, other)}

    assert len(ids) == 1


def test_a_batch_holds_the_same_task_once(
    session: Session, redis: redis_py.Redis, runs: list[dict[str, object]]
) -> None:
    group = session.enqueue_many("q_high", [{"a": 1}, {"a": 2}, {"a": 1}], unique=True)

    assert len(set(group.ids)) == len(pending(redis)) == 2
    assert group[0] is group[2]
    session.start_worker("q")
    assert group.results(timeout=10) == [1, 2, 1]
    assert len(runs) == 2


def test_while_it_is_unfinished_the_task_is_given_back(
    session: Session, runs: list[dict[str, object]]
) -> None:
    first = session.enqueue("q_high", {"a": 1}, unique=True, unique_ttl=0)
    again = session.enqueue("q_high", {"a": 1}, unique=True, unique_ttl=0)

    session.start_worker("q")

    assert (first.result(timeout=10), again.result(timeout=10)) == (1, 1)
    assert len(runs) == 1


def test_a_finished_task_is_given_back_with_its_result(
    session: Session, runs: list[dict[str, object]]
) -> None:
    session.start_worker("q")
    first = session.enqueue("q_high", {"a": 1}, unique=True)
    first.wait(timeout=10)

    again = session.enqueue("q_high", {"a": 1}, unique=True)

    assert again.result(timeout=10) == 1
    assert len(runs) == 1


def test_a_finished_task_is_given_back_even_if_nobody_kept_its_handle(
    session: Session, redis: redis_py.Redis, runs: list[dict[str, object]]
) -> None:
    task_id = session.enqueue("q_high", {"a": 1}, unique=True).id
    gc.collect()
    session.start_worker("q")
    wait_until(lambda: redis.hget(f"asynq:t:{task_id}", "state") == b"completed", "it did not run")

    again = session.enqueue("q_high", {"a": 1}, unique=True)

    assert again.id == task_id
    assert again.result(timeout=10) == 1


def test_a_finished_task_that_is_too_old_is_made_anew(
    session: Session, runs: list[dict[str, object]]
) -> None:
    session.start_worker("q")
    first = session.enqueue("q_high", {"a": 1}, unique=True)
    first.wait(timeout=10)

    again = session.enqueue("q_high", {"a": 1}, unique=True, unique_ttl=0)

    assert again.id == first.id
    assert again.result(timeout=10) == 2
    assert first.result(timeout=10) == 1
    assert len(runs) == 2


def test_a_task_that_failed_is_not_tried_again_by_asking(session: Session) -> None:
    @task(queue="q", max_retry=0)
    def handle(payload: dict[str, object]) -> None:
        raise ValueError("boom")

    session.start_worker("q")
    session.enqueue("q_high", {"a": 1}, unique=True).wait(timeout=10)

    assert session.enqueue("q_high", {"a": 1}, unique=True).state == "archived"


def test_an_id_of_ones_own_is_a_conflict_while_its_task_is_unfinished(session: Session) -> None:
    session.enqueue("q_high", {"a": 1}, id="order-1")

    with pytest.raises(TaskConflictError) as caught:
        session.enqueue("q_high", {"a": 2}, id="order-1")

    assert str(caught.value) == (
        "Task 'order-1' already exists and is pending. Wait for it, or give another id; "
        "unique=True (--unique) gives you the existing task back instead."
    )


def test_after_a_conflict_the_first_handle_still_gets_its_result(
    session: Session, runs: list[dict[str, object]]
) -> None:
    first = session.enqueue("q_high", {"a": 1}, id="order-1")
    with pytest.raises(TaskConflictError):
        session.enqueue("q_high", {"a": 2}, id="order-1")

    session.start_worker("q")

    assert first.result(timeout=10) == 1


def test_an_id_may_be_used_again_once_its_task_is_finished(
    session: Session, runs: list[dict[str, object]]
) -> None:
    session.start_worker("q")
    first: TaskHandle = session.enqueue("q_high", {"a": 1}, id="order-1")
    first.wait(timeout=10)

    second = session.enqueue("q_high", {"a": 2}, id="order-1")

    assert (second.result(timeout=10), first.result()) == (2, 1)
    assert runs == [{"a": 1}, {"a": 2}]


def test_an_id_and_unique_together_give_the_task_of_that_id(session: Session) -> None:
    first = session.enqueue("q_high", {"a": 1}, id="order-1", unique=True)

    again = session.enqueue("q_high", {"a": 2}, id="order-1", unique=True)

    assert again.id == first.id == "order-1"
