"""Handles: a task's state, and its result from wherever it comes."""

from __future__ import annotations

import _thread
import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Fail, Session, TaskHandle, task
from runqy_notebook.errors import (
    ConnectionFailedError,
    PayloadError,
    ResultNotStoredError,
    TaskFailedError,
    UnknownTaskError,
    WaitTimeoutError,
)
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Completed
from tests.servers import running_server
from tests.waiting import wait_until


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Handlers of the queue `gated` return once it is open."""
    opened = threading.Event()

    @task(queue="gated")
    def handle(payload: dict[str, Any]) -> Any:
        opened.wait(20)
        return payload

    yield opened
    opened.set()


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[tuple[Session, Callable[[], None]]]:
    """A session of a server of its own, and what kills that server."""
    with running_server(tmp_path) as server, Session(server.url) as opened:

        def kill() -> None:
            server.process.kill()
            server.process.wait()

        yield opened, kill


def finish(redis: redis_py.Redis, task_id: str, state: str = "completed", **fields: str) -> None:
    """What a worker of another language writes when it is done."""
    redis.hset(f"asynq:t:{task_id}", mapping={"state": state, **fields})


def wrong(handle: Any, timeout: float | None = 10) -> Exception:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        handle.result(timeout)
    return caught.value


# --- results ----------------------------------------------------------------------------------


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
    assert time.monotonic() - began < 1
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


# --- failures ---------------------------------------------------------------------------------


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


# --- waiting ----------------------------------------------------------------------------------


def test_a_time_out_names_the_state_and_that_nobody_serves_the_queue(session: Session) -> None:
    error = wrong(session.enqueue("mail_high", {}, id="t1"), 0.05)

    assert isinstance(error, TimeoutError)
    assert str(error) == (
        "Task 't1' is still pending after 0.05 s. No worker serves mail_high: start one with "
        "%runqy worker start mail."
    )


def test_a_time_out_names_who_serves_the_queue(session: Session, gate: threading.Event) -> None:
    worker = session.start_worker("gated")
    handle = session.enqueue("gated", {}, id="t1")
    wait_until(lambda: handle.state == "active", "it was not started")

    said = str(wrong(handle, 0.05))

    assert said.startswith("Task 't1' is still active after 0.05 s. It goes on; ")
    assert worker.id in said


def test_a_time_out_tells_of_a_worker_without_a_handler(session: Session) -> None:
    session.start_worker("mail")

    said = str(wrong(session.enqueue("mail", {}), 0.05))

    assert "is still pending" in said
    assert "The worker has no handler for mail_default: mark one with @task." in said


def test_a_wait_that_timed_out_changes_nothing(session: Session, gate: threading.Event) -> None:
    session.start_worker("gated")
    handle = session.enqueue("gated", {"a": 1})
    wrong(handle, 0.05)
    wrong(handle, 0)

    gate.set()

    assert handle.result(timeout=10) == {"a": 1}
    assert handle._callbacks == []


def test_an_interrupted_wait_leaves_the_task_running(session: Session) -> None:
    asked, opened = threading.Event(), threading.Event()

    @task(queue="q")
    def handle(payload: dict[str, Any]) -> str:
        asked.wait(20)
        _thread.interrupt_main()
        opened.wait(20)
        return "done all the same"

    session.start_worker("q")
    handle_ = session.enqueue("q", {})

    def interrupted() -> None:
        asked.set()
        handle_.result()

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert handle_.state == "active"
    opened.set()
    assert handle_.result(timeout=10) == "done all the same"


def test_a_wait_while_redis_is_away_is_told(mortal: tuple[Session, Callable[[], None]]) -> None:
    session, kill = mortal
    handle = session.enqueue("q", {})

    kill()

    assert isinstance(wrong(handle), ConnectionFailedError)


def test_many_threads_wait_for_one_task(session: Session, gate: threading.Event) -> None:
    session.start_worker("gated")
    handle, results = session.enqueue("gated", {"a": 1}), []
    threads = [
        threading.Thread(target=lambda: results.append(handle.result(timeout=10)))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()

    gate.set()

    for thread in threads:
        thread.join()
    assert results == [{"a": 1}] * 20


def test_waiting_looks_into_redis_rarely(session: Session, redis: redis_py.Redis) -> None:
    """One look for everybody who waits, further and further apart."""
    group = session.enqueue_many("q", [{"n": n} for n in range(50)])
    before = commands(redis)

    async def wait() -> None:
        waits = [asyncio.ensure_future(awaited(handle)) for handle in group]
        done, _ = await asyncio.wait(waits, timeout=1)
        assert not done
        for each in waits:
            each.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    asyncio.run(wait())

    assert commands(redis) - before <= 6 * 3 * 50


def commands(redis: redis_py.Redis) -> int:
    found: Any = redis.info("stats")
    return int(found["total_commands_processed"])


async def awaited(handle: TaskHandle) -> Any:
    return await handle


# --- asyncio ----------------------------------------------------------------------------------


def test_a_handle_can_be_awaited(session: Session) -> None:
    task(queue="q")(lambda payload: payload["x"])
    session.start_worker("q")

    assert asyncio.run(awaited(session.enqueue("q", {"x": 1}))) == 1


def test_many_can_be_awaited_at_once(session: Session) -> None:
    task(queue="q")(lambda payload: payload["x"])
    session.start_worker("q", concurrency=2)
    group = session.enqueue_many("q", [{"x": n} for n in range(300)])

    async def gathered() -> list[Any]:
        return await asyncio.gather(*group)

    assert asyncio.run(gathered()) == list(range(300))


def test_results_from_elsewhere_can_be_awaited(session: Session, redis: redis_py.Redis) -> None:
    group = session.enqueue_many("q", [{"x": n} for n in range(300)])

    async def gathered() -> list[Any]:
        waits = asyncio.gather(*group)
        await asyncio.sleep(0)
        for n, handle in enumerate(group):
            redis.set(f"asynq:result:{handle.id}", json.dumps(n))
            finish(redis, handle.id)
        return await waits

    assert asyncio.run(gathered()) == list(range(300))


def test_the_event_loop_goes_on_while_a_handle_is_awaited(
    session: Session, gate: threading.Event
) -> None:
    session.start_worker("gated")

    async def both() -> tuple[int, Any]:
        waiting = asyncio.ensure_future(awaited(session.enqueue("gated", {"a": 1})))
        turns = 0
        while turns < 1000:
            turns += 1
            await asyncio.sleep(0)
        gate.set()
        return turns, await waiting

    assert asyncio.run(both()) == (1000, {"a": 1})


def test_an_awaited_failure_is_raised(session: Session, redis: redis_py.Redis) -> None:
    handle = session.enqueue("q", {})
    finish(redis, handle.id, "archived", error_msg="boom")

    with pytest.raises(TaskFailedError):
        asyncio.run(awaited(handle))


def test_an_awaited_handle_can_be_given_up(session: Session, gate: threading.Event) -> None:
    session.start_worker("gated")
    handle = session.enqueue("gated", {"a": 1})

    async def impatient() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(handle, 0.05)

    asyncio.run(impatient())

    assert handle._callbacks == []
    gate.set()
    assert handle.result(timeout=10) == {"a": 1}


def test_an_await_while_redis_is_away_is_told(mortal: tuple[Session, Callable[[], None]]) -> None:
    session, kill = mortal
    group = session.enqueue_many("q", [{}, {}])

    kill()

    async def both() -> list[Any]:
        return await asyncio.gather(*group, return_exceptions=True)

    errors = asyncio.run(both())
    assert [type(error) for error in errors] == [ConnectionFailedError] * 2


def test_a_handle_can_be_awaited_on_several_loops(session: Session) -> None:
    task(queue="q")(lambda payload: 1)
    handle, results = session.enqueue("q", {}), []
    threads = [
        threading.Thread(target=lambda: results.append(asyncio.run(awaited(handle))))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()

    session.start_worker("q")

    for thread in threads:
        thread.join()
    assert results == [1] * 5


# --- groups -----------------------------------------------------------------------------------


@pytest.fixture
def halves(session: Session) -> Session:
    """A session whose worker fails every odd `n`."""

    @task(queue="q", max_retry=0)
    def handle(payload: dict[str, Any]) -> int:
        if payload["n"] % 2:
            raise ValueError(f"{payload['n']} is odd")
        return int(payload["n"])

    session.start_worker("q")
    return session


def test_results_of_a_group_come_in_order(halves: Session) -> None:
    group = halves.enqueue_many("q", [{"n": n} for n in (8, 2, 4)])

    assert group.results(timeout=10) == [8, 2, 4]
    assert group.states() == {"completed": 3}


def test_the_first_failure_of_a_group_is_raised(halves: Session) -> None:
    group = halves.enqueue_many("q", [{"n": n} for n in (2, 3, 5)])

    with pytest.raises(TaskFailedError, match="3 is odd"):
        group.results(timeout=10)


def test_failures_of_a_group_can_be_returned_in_their_places(halves: Session) -> None:
    group = halves.enqueue_many("q", [{"n": n} for n in (2, 3, 4)])

    first, second, third = group.results(timeout=10, errors="return")

    assert (first, third) == (2, 4)
    assert isinstance(second, TaskFailedError)
    assert second.task_id == group[1].id
    assert group.states() == {"completed": 2, "archived": 1}


def test_there_are_two_ways_with_errors(halves: Session) -> None:
    with pytest.raises(ValueError, match='errors is "raise" or "return", not \'ignore\''):
        halves.enqueue_many("q", []).results(errors="ignore")


def test_a_group_is_like_a_list(session: Session) -> None:
    group = session.enqueue_many("q", [{"n": n} for n in range(5)])

    assert len(group) == 5
    assert group[1:3].ids == group.ids[1:3]
    assert group[-1] is list(group)[4]
    assert (group[:2] + group[4:]).ids == [*group.ids[:2], group.ids[4]]
    assert group[2] in group
    with pytest.raises(IndexError):
        group[5]


def test_a_group_can_be_awaited(halves: Session) -> None:
    async def all_of_them() -> list[Any]:
        return await halves.enqueue_many("q", [{"n": n} for n in (4, 2)])

    assert asyncio.run(all_of_them()) == [4, 2]


def test_a_groups_time_out_is_for_all_of_it(session: Session) -> None:
    group = session.enqueue_many("q", [{"n": n} for n in range(100)])
    began = time.monotonic()

    with pytest.raises(WaitTimeoutError) as caught:
        group.results(timeout=0.1)

    assert caught.value.task_id == group[0].id
    assert time.monotonic() - began < 1


def test_a_group_without_time_still_gets_what_is_there(
    session: Session, redis: redis_py.Redis
) -> None:
    group = session.enqueue_many("q", [{"n": n} for n in range(20)])
    for handle in group:
        redis.set(f"asynq:result:{handle.id}", "1")
        finish(redis, handle.id)

    assert group.results(timeout=0) == [1] * 20


def test_an_empty_group_is_done(session: Session) -> None:
    group = session.enqueue_many("q", [])

    assert group.results(timeout=0) == []
    assert asyncio.run(_all(group)) == []
    assert repr(group) == "<0 tasks>"


async def _all(group: Any) -> Any:
    return await group


# --- repr -------------------------------------------------------------------------------------


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


def test_a_handle_can_be_shown_while_redis_is_away(
    mortal: tuple[Session, Callable[[], None]],
) -> None:
    session, kill = mortal
    handle, group = session.enqueue("q", {}, id="t1"), session.enqueue_many("q", [{}, {}])

    kill()

    assert repr(handle).startswith("<Task t1 in q: redis://")
    assert repr(group).startswith("<2 tasks in q: redis://")


def test_a_group_shows_how_far_it_is(halves: Session) -> None:
    group = halves.enqueue_many("q", [{"n": n} for n in (1, 2, 4)])
    group.wait(timeout=10)

    assert repr(group) == "<3 tasks in q_default: 1 archived, 2 completed>"
    assert repr(group[:1]) == "<1 task in q_default: 1 archived>"
