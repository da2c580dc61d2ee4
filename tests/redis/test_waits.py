"""Waiting for a task: in a cell, in threads, in coroutines."""

from __future__ import annotations

import _thread
import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.errors import (
    ConnectionFailedError,
    TaskFailedError,
)
from tests.handling import awaited, finish, wrong
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


def test_a_handle_can_be_shown_while_redis_is_away(
    mortal: tuple[Session, Callable[[], None]],
) -> None:
    session, kill = mortal
    handle, group = session.enqueue("q", {}, id="t1"), session.enqueue_many("q", [{}, {}])

    kill()

    assert repr(handle).startswith("<Task t1 in q: redis://")
    assert repr(group).startswith("<2 tasks in q: redis://")


# --- asyncio --------------------------------------------------------------------------------------


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
