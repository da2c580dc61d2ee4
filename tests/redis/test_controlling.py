"""What a session does to tasks and queues that exist, and what it tells of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.errors import (
    QueueNameError,
    SettingsError,
    TaskFailedError,
    TaskStateError,
    UnknownQueueError,
    UnknownTaskError,
    UsageError,
    WaitTimeoutError,
)
from runqy_notebook.wire.events import Event
from tests.handling import wrong
from tests.waiting import wait_until


def told(heard: list[Event]) -> list[tuple[str, str, str]]:
    return [(event.kind.value, event.task_id, event.queue) for event in list(heard)]


# --- run now, delete ------------------------------------------------------------------------------


def test_a_failed_task_is_tried_again_with_its_own_handle(session: Session) -> None:
    answers = iter([ValueError("boom"), None])

    @task(queue="q", max_retry=0)
    def act(payload: Any) -> str:
        if error := next(answers):
            raise error
        return f"done {payload['n']}"

    session.start_worker("q")
    first = session.enqueue("q", {"n": 1})
    assert isinstance(wrong(first), TaskFailedError)

    second = first.retry()

    assert second is not first
    assert second.queue == "q_default"
    assert second.result(timeout=10) == "done 1"
    assert isinstance(wrong(first, 0), TaskFailedError)
    assert session.record(first.id).starts == 1


def test_a_scheduled_task_that_is_run_now_keeps_its_handle(session: Session) -> None:
    task(queue="q")(lambda payload: "done")
    session.start_worker("q")
    handle = session.enqueue("q", {}, at=datetime.now(timezone.utc) + timedelta(days=1))

    assert handle.retry() is handle
    assert handle.result(timeout=10) == "done"


def test_a_deleted_task_is_unknown(session: Session) -> None:
    handle = session.enqueue("q", {}, id="t1")

    handle.delete()

    assert handle.state == "gone"
    assert isinstance(wrong(handle), UnknownTaskError)
    for act in (session.delete, session.cancel, session.run_now):
        with pytest.raises(UnknownTaskError):
            act("t1")


def test_a_running_task_is_not_deleted(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {}, id="t1")
    redis.rpop("asynq:q:pending")
    redis.lpush("asynq:q:active", "t1")

    with pytest.raises(TaskStateError, match="runs in a foreign worker: wait for its end"):
        handle.delete()


# --- queues ---------------------------------------------------------------------------------------


def test_pausing_a_parent_pauses_its_sub_queues_also_those_to_come(session: Session) -> None:
    task(queue="q")(lambda payload: "done")
    session.start_worker("q")
    first = session.enqueue("q_high", {})
    first.result(timeout=10)

    assert session.pause_queue("q") == ["q_default", "q_high"]

    late = [session.enqueue(name, {}) for name in ("q_high", "q_default", "q_low")]
    assert isinstance(wrong(late[0], 0.3), WaitTimeoutError)
    assert [handle.state for handle in late] == ["pending"] * 3

    assert session.resume_queue("q") == ["q_default", "q_high", "q_low"]
    assert [handle.result(timeout=10) for handle in late] == ["done"] * 3


def test_a_sub_queue_is_paused_alone(session: Session) -> None:
    for name in ("q_high", "q_default", "qq_high"):
        session.enqueue(name, {})

    assert session.pause_queue("q_high") == ["q_high"]

    frame = session.queues()
    assert list(frame.index[frame["paused"]]) == ["q_high"]


def test_a_handle_pauses_and_resumes_its_own_queue(session: Session) -> None:
    handle = session.enqueue("q_high", {})
    session.enqueue("q_low", {})

    handle.pause_queue()
    paused = session.queues()["paused"]
    handle.resume_queue()

    assert list(paused.index[paused]) == ["q_high"]
    assert not session.queues()["paused"].any()


@pytest.mark.parametrize("act", ["pause_queue", "resume_queue", "purge"])
def test_a_queue_that_nobody_knows_is_named(session: Session, act: str) -> None:
    session.enqueue("images", {})
    more = ["pending"] if act == "purge" else []

    with pytest.raises(UnknownQueueError, match="Did you mean 'images'"):
        getattr(session, act)("image", *more)
    with pytest.raises(QueueNameError):
        getattr(session, act)("my queue", *more)


def test_a_purge_counts_what_went(session: Session) -> None:
    session.enqueue_many("q_default", [{}] * 450)
    session.enqueue("q_high", {})
    session.enqueue("q_high", {}, delay=100)

    assert session.purge("q", "pending") == 451
    assert session.unfinished() == 1
    assert session.purge("q", "pending") == 0
    with pytest.raises(UsageError, match="Active tasks cannot be purged"):
        session.purge("q", "active")
    with pytest.raises(SettingsError, match="no state 'done'"):
        session.purge("q", "done")


# --- what is told ---------------------------------------------------------------------------------


def test_all_that_is_done_is_heard_once_here_and_elsewhere(
    make_session: Callable[..., Session],
) -> None:
    here, there = make_session(), make_session()
    heard: dict[str, list[Event]] = {"here": [], "there": []}
    here.enqueue("q", {}, id="a")
    here.enqueue("q", {}, id="b", delay=100)
    here.listen(heard["here"].append, names=["q"])
    there.listen(heard["there"].append)

    here.cancel("a")
    here.run_now("a")
    here.run_now("b")
    here.delete("b")
    here.pause_queue("q")
    here.resume_queue("q")
    here.purge("q", "pending")

    expected = [
        ("archived", "a", "q"),
        ("enqueued", "a", "q"),
        ("due", "b", "q"),
        ("deleted", "b", "q"),
        ("paused", "", "q"),
        ("resumed", "", "q"),
        ("deleted", "a", "q"),
    ]
    assert told(heard["here"]) == expected
    wait_until(lambda: len(heard["there"]) >= len(expected), f"only {told(heard['there'])}")
    assert told(heard["there"]) == expected
    assert heard["there"][0].error == "cancelled"
    assert {event.by for event in heard["there"]} == {here.id}


# --- what a wait that timed out tells -------------------------------------------------------------


def test_a_wait_for_a_scheduled_task_says_when_it_is_due(session: Session) -> None:
    handle = session.enqueue("q", {}, id="t1", delay=600)

    said = str(wrong(handle, 0))

    assert said.startswith(
        "Task 't1' is still scheduled after 0 s. It goes on; it is due in 10 min"
    )
    assert "%runqy run t1" in said


def test_a_wait_for_a_task_of_a_paused_queue_says_so(session: Session) -> None:
    handle = session.enqueue("q_high", {})
    session.pause_queue("q_high")

    assert str(wrong(handle, 0)).endswith("The queue is paused: %runqy resume q_high.")


def test_a_wait_while_the_worker_is_paused_says_so(session: Session) -> None:
    task(queue="q")(lambda payload: None)
    session.start_worker("q").pause()

    said = str(wrong(session.enqueue("q", {}), 0))

    assert said.endswith("The worker is paused: %runqy worker resume.")
