"""Cancelling tasks that run, or are about to: by their handle, from here and from elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, TaskHandle, current_task, task
from runqy_notebook.errors import RunqyError, TaskFailedError, TaskStateError, UnknownTaskError
from runqy_notebook.worker.slots import Running
from runqy_notebook.worker.worker import Worker
from tests.handling import wrong
from tests.waiting import wait_until
from tests.working import Log, registry_of, told, working


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What handlers wait for; open at the end, so that no thread stays behind."""
    opened = threading.Event()
    yield opened
    opened.set()


def started(handle: TaskHandle) -> TaskHandle:
    wait_until(lambda: handle.state == "active", "it was not started")
    return handle


def held(worker: Worker) -> Running:
    """What the worker is running."""
    wait_until(worker.held, "no slot runs it")
    ((_, running),) = worker.held()
    return running


def test_a_waiting_task_is_cancelled_at_once_and_its_handle_knows(session: Session) -> None:
    handle = session.enqueue("q", {}, id="t1")

    assert handle.cancel() == "cancelled"

    assert handle.is_done
    assert handle.state == "archived"
    assert str(wrong(handle, 0)) == "Task 't1' in q was cancelled."
    assert repr(handle) == "<Task t1 in q: archived: cancelled>"


def test_a_scheduled_task_is_cancelled_too(session: Session) -> None:
    handle = session.enqueue("q", {}, delay=600)

    assert handle.cancel() == "cancelled"
    assert isinstance(wrong(handle, 0), TaskFailedError)


def test_a_handler_that_does_not_end_is_left_behind_and_its_slot_replaced(
    make_session: Callable[..., Session], gate: threading.Event
) -> None:
    session, log = make_session(cancel_grace=0.3), Log()
    task(queue="q")(lambda payload: log.add(payload["n"]) or (payload["n"] == 1 and gate.wait()))
    worker = session.start_worker("q")
    first = started(session.enqueue("q", {"n": 1}))

    assert first.cancel() == "cancelling"

    assert isinstance(wrong(first), TaskFailedError)
    assert first.state == "archived"
    assert session.enqueue("q", {"n": 2}).result(timeout=10) is False
    assert worker.status.abandoned == 1
    said = "is cancelled, but its handler has not ended"
    wait_until(lambda: told(worker, said), "nothing was told")
    gate.set()
    wait_until(lambda: worker.status.abandoned == 0, "its thread has not ended")
    assert log.entries == [1, 2]
    assert session.record(first.id).error == "cancelled"
    assert worker.status.failed == 0


@pytest.mark.parametrize("end", ["return", "raise"])
def test_a_handler_that_ends_in_time_is_cancelled_all_the_same(
    session: Session, gate: threading.Event, end: str
) -> None:
    """Who was told "cancelling" can rely on it; what a handler returns may be half a result."""

    @task(queue="q", store_result=True)
    def act(payload: Any) -> str:
        gate.wait()
        if end == "raise":
            raise ValueError("stopped half-way")
        return "half a result"

    worker = session.start_worker("q")
    handle = started(session.enqueue("q", {}))

    handle.cancel()
    gate.set()

    assert isinstance(wrong(handle), TaskFailedError)
    assert handle.error == "cancelled"
    assert session.record(handle.id).state == "archived"
    assert worker.status.abandoned == 0


def test_the_event_of_the_running_handler_is_set_at_once(
    session: Session, gate: threading.Event
) -> None:
    task(queue="q")(lambda payload: gate.wait() and None)
    worker = session.start_worker("q")
    handle = started(session.enqueue("q", {}))
    running = held(worker)

    assert not running.leash.is_pulled
    handle.cancel()

    assert running.leash.is_pulled
    assert session.record(handle.id).is_cancelling


def test_a_handler_that_looks_ends_by_itself(session: Session) -> None:
    @task(queue="q")
    def act(payload: Any) -> str:
        wait_until(lambda: current_task().cancelled, "it is not told")
        return "tidied up"

    worker = session.start_worker("q")
    handle = started(session.enqueue("q", {}))

    handle.cancel()

    assert isinstance(wrong(handle, 3), TaskFailedError)
    assert worker.status.abandoned == 0


def test_a_session_elsewhere_cancels_without_waiting_for_a_renewal(
    make_session: Callable[..., Session], gate: threading.Event
) -> None:
    task(queue="q")(lambda payload: gate.wait() and None)
    here, there = make_session(lease=600), make_session()
    worker = here.start_worker("q")
    handle = started(there.enqueue("q", {}))
    running = held(worker)

    assert handle.cancel() == "cancelling"

    wait_until(lambda: running.leash.is_pulled, "it was not told", 5)


def test_a_message_alone_cancels_nothing(
    make_session: Callable[..., Session], redis: redis_py.Redis, gate: threading.Event
) -> None:
    task(queue="q")(lambda payload: gate.wait() and "done")
    session = make_session(cancel_grace=0)
    worker = session.start_worker("q")
    handle = started(session.enqueue("q", {}, id="t1"))

    assert redis.publish("asynq:nb:control:0", "cancel t1") == 1
    wait_until(lambda: worker.cancelling.is_hurried(time.monotonic()), "it did not hear")
    wait_until(lambda: not worker.cancelling.is_hurried(time.monotonic()), "it hurries for ever")

    assert not held(worker).leash.is_pulled
    gate.set()
    assert handle.result(10) == "done"


def test_a_worker_that_hears_no_messages_learns_of_it_with_its_next_renewal(
    url: str, session: Session, gate: threading.Event
) -> None:
    registry = registry_of(lambda payload: gate.wait() and None, "q")
    with working(url, registry, "q", lease=1.0, cancel_grace=0.0) as worker:
        handle = started(session.enqueue("q_default", {}))
        running = held(worker)

        handle.cancel()

        wait_until(lambda: running.leash.is_pulled, "it was not told", 5)
        assert isinstance(wrong(handle), TaskFailedError)
        gate.set()


def test_a_task_that_is_being_claimed_is_either_run_or_cancelled(
    make_session: Callable[..., Session],
) -> None:
    """200 rounds, each cancelled while two slots are after it."""
    session, log = make_session(cancel_grace=5), Log()
    task(queue="q")(lambda payload: log.note(payload))
    session.start_worker("q", concurrency=2)
    words: dict[str, str] = {}

    for number in range(200):
        handle = session.enqueue("q", {}, id=f"t{number}")
        if number % 3 == 2:
            handle.wait(timeout=10)
        try:
            words[handle.id] = handle.cancel()
        except TaskStateError:
            words[handle.id] = "too late"
    wait_until(lambda: session.unfinished() == 0, "something is left")

    ran = set(log.entries)
    assert len(log) == len(ran)
    for task_id, word in words.items():
        record = session.record(task_id)
        is_cancelled = record.error == "cancelled"
        if word != "cancelling":  # then it may have been claimed, but not begun
            assert (task_id in ran) == (word == "too late"), f"{task_id}: {word}"
        assert is_cancelled == (word != "too late"), f"{task_id}: {word}"
        assert record.state == ("archived" if is_cancelled else "completed")
    assert len(set(words.values())) > 1


def test_a_group_is_cancelled_as_far_as_it_is_not_done(
    session: Session, gate: threading.Event
) -> None:
    task(queue="q")(lambda payload: payload["n"] and gate.wait() and None)
    session.start_worker("q")
    group = session.enqueue_many("q", [{"n": n} for n in range(5)])
    group[0].result(timeout=10)
    expected = {"completed": 1, "active": 1, "pending": 3}
    wait_until(lambda: group.states() == expected, "the rest of its batch is not given back")

    assert group.cancel() == {"left": 1, "cancelling": 1, "cancelled": 3}

    gate.set()
    assert group.wait(10).states() == {"completed": 1, "archived": 4}
    assert group.cancel() == {"left": 5}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("completed", "Task 't1' is completed already: there is nothing to cancel."),
        ("active elsewhere", "Task 't1' runs in a foreign worker, which cannot be asked to stop"),
        ("nowhere", "Task 't1' stands in no list, though it is pending: a foreign worker"),
        ("unknown", "No task 't1' in this Redis"),
    ],
)
def test_what_cannot_be_cancelled_is_told_in_a_line(
    session: Session, redis: redis_py.Redis, state: str, said: str
) -> None:
    if state != "unknown":
        session.enqueue("q", {}, id="t1")
        redis.rpop("asynq:q:pending")
    if state == "active elsewhere":
        redis.lpush("asynq:q:active", "t1")
    elif state == "completed":
        redis.hset("asynq:t:t1", "state", "completed")

    with pytest.raises((TaskStateError, UnknownTaskError)) as caught:
        session.cancel("t1")

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_a_task_of_a_worker_that_stops_meanwhile_is_not_given_back(
    make_session: Callable[..., Session], gate: threading.Event
) -> None:
    session = make_session(shutdown_timeout=0.1)
    task(queue="q")(lambda payload: gate.wait() and None)
    session.start_worker("q")
    handle = started(session.enqueue("q", {}))
    handle.cancel()

    session.stop_worker()

    assert session.record(handle.id).error == "cancelled"
    assert isinstance(wrong(handle), RunqyError)
