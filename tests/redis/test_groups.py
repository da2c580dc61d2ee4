"""The handles of a batch."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.errors import (
    TaskFailedError,
    WaitTimeoutError,
)
from tests.handling import finish


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
    assert time.monotonic() - began < 5  # each would have its own: 10 s


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


def test_a_group_shows_how_far_it_is(halves: Session) -> None:
    group = halves.enqueue_many("q", [{"n": n} for n in (1, 2, 4)])
    group.wait(timeout=10)

    assert repr(group) == "<3 tasks in q_default: 1 archived, 2 completed>"
    assert repr(group[:1]) == "<1 task in q_default: 1 archived>"


# --- in the order in which they are done ----------------------------------------------------------


@pytest.fixture
def gates(session: Session) -> dict[int, threading.Event]:
    """A worker whose tasks `n` are done when their gate opens; it fails those over 90."""
    opened = {n: threading.Event() for n in range(100)}

    @task(queue="q", max_retry=0)
    def handle(payload: dict[str, Any]) -> int:
        assert opened[payload["n"]].wait(10)
        if payload["n"] > 90:
            raise ValueError("no")
        return int(payload["n"])

    session.start_worker("q", concurrency=3)
    return opened


def test_a_group_gives_its_tasks_as_they_are_completed(
    session: Session, gates: dict[int, threading.Event]
) -> None:
    group = session.enqueue_many("q", [{"n": n} for n in (1, 2, 95)])
    found = []

    gates[2].set()
    for handle in group.as_completed(timeout=10):
        assert handle.is_done
        found.append(group.ids.index(handle.id))
        gates[{1: 95, 2: 1, 0: 1}[found[-1]]].set()

    assert found == [1, 2, 0]


def test_a_group_gives_its_tasks_to_a_coroutine_that_goes_on_meanwhile(
    session: Session, gates: dict[int, threading.Event]
) -> None:
    group = session.enqueue_many("q", [{"n": n} for n in (1, 2)])
    ticks = 0

    async def gather() -> list[int]:
        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                if ticks == 5:
                    gates[2].set()
                await asyncio.sleep(0.01)

        ticking = asyncio.ensure_future(tick())
        found = []
        async for handle in group.as_completed(timeout=10):
            found.append(handle.result())
            gates[1].set()
        ticking.cancel()
        return found

    assert asyncio.run(gather()) == [2, 1]
    assert ticks >= 5


def test_what_is_not_completed_in_time_is_told(
    session: Session, gates: dict[int, threading.Event]
) -> None:
    group = session.enqueue_many("q", [{"n": n} for n in (1, 2)])
    gates[1].set()
    group[0].wait(timeout=10)
    arriving = iter(group.as_completed(timeout=0.5))

    assert next(arriving).id == group[0].id
    with pytest.raises(WaitTimeoutError, match=group[1].id):
        next(arriving)
    gates[2].set()


def test_tasks_done_elsewhere_are_found_as_completed(
    session: Session, redis: redis_py.Redis
) -> None:
    group = session.enqueue_many("q", [{"n": 1}, {"n": 2}])
    for handle in group:
        finish(redis, handle.id)

    assert {handle.id for handle in group.as_completed(timeout=10)} == set(group.ids)
