"""Handles: a task's state, and its result from wherever it comes."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Fail, Session, task
from runqy_notebook.errors import (
    PayloadError,
    ResultNotStoredError,
    TaskFailedError,
    UnknownTaskError,
    WaitTimeoutError,
)
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import Completed
from tests.handling import finish, wrong
from tests.waiting import wait_until

# --- results --------------------------------------------------------------------------------------


def test_a_result_of_the_worker_here_needs_no_storage(
    session: Session, redis: redis_py.Redis
) -> None:
    task(queue="q")(lambda payload: payload["x"] + 1)
    session.start_worker("q")

    handle = session.enqueue("q", {"x": 1})

    assert handle.result(timeout=10) == 2
    assert handle.state == "completed"
    assert handle.error is None
    assert handle.is_done
    assert redis.keys("asynq:result:*") == []


@pytest.mark.parametrize("value", [object(), b"bytes", {1, 2}, lambda: None, Exception("a value")])
def test_a_value_that_is_no_json_reaches_the_handle_here(value: object, session: Session) -> None:
    task(queue="q")(lambda payload: value)
    session.start_worker("q")

    assert session.enqueue("q", {}).result(timeout=10) is value


def test_a_value_that_is_no_json_cannot_be_stored_but_is_no_failure(session: Session) -> None:
    value = object()
    task(queue="q")(lambda payload: value)
    worker = session.start_worker("q", store_results=True)

    handle = session.enqueue("q", {})

    assert handle.result(timeout=10) is value
    assert any("result was not stored: result: object is not JSON" in n for n in worker.notices)


def test_a_result_may_be_asked_for_again_and_again(session: Session) -> None:
    task(queue="q")(lambda payload: [1])
    session.start_worker("q")
    handle = session.enqueue("q", {})

    assert handle.result(timeout=10) is handle.result() is handle.wait().result(0)


def test_the_stored_result_of_a_foreign_worker_is_read(
    session: Session, redis: redis_py.Redis
) -> None:
    handle = session.enqueue("q", {})
    redis.set(f"asynq:result:{handle.id}", '{"label": 7}')
    finish(redis, handle.id)

    assert handle.result(timeout=10) == {"label": 7}
    assert handle.state == "completed"


def test_a_stored_result_counts_only_once_the_task_is_completed(
    session: Session, redis: redis_py.Redis
) -> None:
    handle = session.enqueue("q", {})
    redis.set(f"asynq:result:{handle.id}", "1")

    assert isinstance(wrong(handle, 0.2), WaitTimeoutError)


def test_a_stored_result_survives_the_tasks_record(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {})
    redis.set(f"asynq:result:{handle.id}", "1")
    redis.delete(f"asynq:t:{handle.id}")

    assert handle.result(timeout=10) == 1


def test_a_stored_result_that_is_no_json_is_told(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {})
    redis.set(f"asynq:result:{handle.id}", "<html>")
    finish(redis, handle.id)

    error = wrong(handle)

    assert isinstance(error, PayloadError)
    assert str(error).startswith("result: not JSON, ")
    assert handle.state == "completed"


def test_a_result_that_nobody_kept_is_told_at_once(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {})
    finish(redis, handle.id)
    began = time.monotonic()

    assert isinstance(wrong(handle, None), ResultNotStoredError)
    assert time.monotonic() - began < 5  # it would wait for ever
    assert handle.state == "completed"


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_result_that_nobody_kept_is_told_however_short_the_wait(
    timeout: float, session: Session, redis: redis_py.Redis
) -> None:
    handle = session.enqueue("q", {})
    finish(redis, handle.id)

    assert isinstance(wrong(handle, timeout), ResultNotStoredError)


def test_a_result_reported_after_all_is_believed(session: Session, redis: redis_py.Redis) -> None:
    """The worker here writes a task down before it reports: a look may come in between."""
    handle = session.enqueue("q", {})
    finish(redis, handle.id)
    wrong(handle)

    handle.report(Completed(Task(handle.id, "q", b"token"), 1))

    assert handle.result() == 1
    assert repr(handle).endswith("completed -> 1>")


def test_the_first_end_that_is_known_is_believed(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {})
    redis.set(f"asynq:result:{handle.id}", "1")
    finish(redis, handle.id)
    handle.wait(timeout=10)

    handle.report(Completed(Task(handle.id, "q", b"token"), 2))

    assert handle.result() == 1


# --- failures -------------------------------------------------------------------------------------


def test_a_failure_is_raised_with_the_handlers_own_error_as_its_cause(session: Session) -> None:
    boom = ValueError("boom")

    @task(queue="q", max_retry=0)
    def handle(payload: dict[str, Any]) -> None:
        raise boom

    session.start_worker("q")
    handle_ = session.enqueue("q", {}, id="t1")

    error = wrong(handle_)

    assert isinstance(error, TaskFailedError)
    assert str(error) == "Task 't1' in q_default failed and is archived: ValueError: boom"
    assert error.__cause__ is boom
    assert "raise boom" in error.traceback_text
    assert (handle_.state, handle_.error) == ("archived", "ValueError: boom")


def test_a_failure_that_redis_knows_before_the_handle_is_told_keeps_its_cause(
    session: Session, redis: redis_py.Redis
) -> None:
    """The worker here writes an end down before it reports it: a look may come in between."""
    boom, may_go_on = ValueError("boom"), threading.Event()

    @task(queue="q", max_retry=0)
    def handle(payload: dict[str, Any]) -> None:
        raise boom

    session.listen(lambda event: event.kind is Kind.ARCHIVED and may_go_on.wait(10) and None)
    session.start_worker("q")
    handle_ = session.enqueue("q", {}, id="t1")
    wait_until(lambda: redis.hget("asynq:t:t1", "state") == b"archived", "it did not fail")

    handle_.observe(*session.standings(["t1"]))
    was_done = handle_.is_done
    may_go_on.set()

    assert wrong(handle_).__cause__ is boom
    assert not was_done


def test_a_listener_that_waits_for_the_task_itself_is_told_what_redis_has(
    session: Session,
) -> None:
    told: list[Exception] = []

    @task(queue="q", max_retry=0)
    def handle(payload: dict[str, Any]) -> None:
        raise ValueError("boom")

    def wait_for_it(event: Event) -> None:
        if event.kind is Kind.ARCHIVED:
            told.append(wrong(session.task("t1")))

    session.listen(wait_for_it)
    session.start_worker("q")
    session.enqueue("q", {}, id="t1")

    wait_until(lambda: told, "it waits for ever")
    assert str(told[0]) == "Task 't1' in q_default failed and is archived: ValueError: boom"


def test_a_failure_elsewhere_is_told_with_what_redis_has(
    session: Session, redis: redis_py.Redis
) -> None:
    ours, foreign = session.enqueue("q", {}), session.enqueue("q", {})
    finish(redis, ours.id, "archived", error_msg="ValueError: boom")
    finish(redis, foreign.id, "archived", error="exit status 1")

    assert "archived: ValueError: boom" in str(wrong(ours))
    assert "archived: exit status 1" in str(wrong(foreign))
    assert foreign.error == "exit status 1"


def test_a_cancelled_task_is_told_as_cancelled(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {}, id="t1")
    finish(redis, handle.id, "archived", error_msg="cancelled")

    assert str(wrong(handle)) == "Task 't1' in q was cancelled."


def test_between_two_attempts_the_error_is_known(session: Session) -> None:
    @task(queue="q")
    def handle(payload: dict[str, Any]) -> None:
        raise ValueError("boom")

    session.start_worker("q", retry_delay=60, retry_delay_max=60)
    handle_ = session.enqueue("q", {}, id="t1")
    wait_until(lambda: handle_.state == "retry", "it did not fail")

    assert handle_.error == "ValueError: boom"
    assert not handle_.is_done
    assert str(wrong(handle_, 0)).startswith(
        "Task 't1' is still waiting for another attempt after 0 s (the last attempt failed: "
        "ValueError: boom). It goes on; "
    )


def test_a_handler_that_gives_up_is_not_tried_again(session: Session) -> None:
    @task(queue="q", max_retry=5)
    def handle(payload: dict[str, Any]) -> None:
        raise Fail("no such customer")

    session.start_worker("q")

    assert str(wrong(session.enqueue("q", {}))).endswith("archived: no such customer")


def test_a_task_that_vanished_is_told(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {})
    redis.delete(f"asynq:t:{handle.id}")

    assert handle.state == "gone"
    assert isinstance(wrong(handle), UnknownTaskError)
    assert handle.error is None


# --- repr -----------------------------------------------------------------------------------------


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"label": 7}, "{'label': 7}"),
        ("a\nb", "'a\\nb'"),
        ([0] * 1000, "[0, 0, 0, 0, 0, 0, 0, 0, ...]"),
        (Unspeakable(), "<Unspeakable instance at "),
        (None, "None"),
    ],
)
def test_a_finished_task_shows_its_value_on_one_line(
    value: object, shown: str, session: Session
) -> None:
    task(queue="q")(lambda payload: value)
    session.start_worker("q")
    handle = session.enqueue("q", {}, id="t1").wait(timeout=10)

    assert repr(handle).startswith(f"<Task t1 in q_default: completed -> {shown}")
    assert "\n" not in repr(handle)
    assert len(repr(handle)) < 200


def test_a_task_shows_its_state(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {}, id="t1")
    assert repr(handle) == "<Task t1 in q: pending>"

    finish(redis, "t1", "archived", error_msg="ValueError: boom\nsecond line")
    assert repr(handle) == "<Task t1 in q: archived: ValueError: boom second line>"

    redis.delete("asynq:t:t1")
    assert repr(handle) == "<Task t1 in q: gone>"


def test_a_result_that_nobody_kept_shows_as_completed(
    session: Session, redis: redis_py.Redis
) -> None:
    handle = session.enqueue("q", {}, id="t1")
    finish(redis, "t1")
    wrong(handle)

    assert repr(handle) == "<Task t1 in q: completed>"
