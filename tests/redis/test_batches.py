"""Handlers that take no time are given several tasks in one claim, and nobody waits for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.worker import slots
from tests.broking import BASE, push
from tests.waiting import wait_until
from tests.working import Log, registry_of, working


def calls(client: redis_py.Redis) -> int:
    return sum(
        int(found["calls"])
        for name, found in client.info("commandstats").items()
        if name in ("cmdstat_evalsha", "cmdstat_eval")
    )


def test_quick_tasks_take_far_less_than_a_round_trip_each(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    for number in range(1_000):
        push(redis, f"t{number}")
    redis.config_resetstat()

    with working(url, registry_of(log.note)) as worker:
        wait_until(lambda: worker.status.completed == 1_000, lambda: str(worker.status))

    assert log.entries == [f"t{number}" for number in range(1_000)]
    assert calls(redis) < 500


def test_a_slow_task_among_quick_ones_keeps_none_of_them_waiting(
    redis: redis_py.Redis, url: str
) -> None:
    log, go_on = Log(), threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        if payload["task_id"] == "slow":
            go_on.wait(20)

    for number in range(300):
        push(redis, f"t{number}")
    push(redis, "slow")
    for number in range(300, 400):
        push(redis, f"t{number}")

    with working(url, registry_of(handler), concurrency=2) as worker:
        wait_until(lambda: worker.status.completed == 400, lambda: str(worker.status))
        assert redis.lrange(BASE + "active", 0, -1) == [b"slow"]
        go_on.set()
        wait_until(lambda: worker.status.completed == 401, lambda: str(worker.status))

    assert sorted(log.entries) == sorted({*log.entries})
    assert len(log) == 401


def test_a_single_slot_gives_back_in_order_what_waits_behind_a_slow_task(
    redis: redis_py.Redis, url: str
) -> None:
    log, go_on = Log(), threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        if payload["task_id"] == "slow":
            go_on.wait(20)

    for number in range(200):
        push(redis, f"t{number}")
    push(redis, "slow")
    for number in range(200, 300):
        push(redis, f"t{number}")

    with working(url, registry_of(handler)) as worker:
        wait_until(lambda: redis.llen(BASE + "pending") == 100, "the rest was not given back")
        assert redis.lindex(BASE + "pending", -1) == b"t200"
        wait_until(lambda: worker.status.completed == 200, lambda: str(worker.status))
        go_on.set()
        wait_until(lambda: worker.status.completed == 301, lambda: str(worker.status))

    assert log.entries == [
        *(f"t{number}" for number in range(200)),
        "slow",
        *(f"t{number}" for number in range(200, 300)),
    ]


def test_a_worker_that_stops_in_the_middle_of_a_claim_gives_the_rest_back(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    for number in range(500):
        push(redis, f"t{number}")

    with working(url, registry_of(log.note)) as worker:
        wait_until(lambda: len(log) > 50, "nothing runs")
        worker.stop()

    assert redis.llen(BASE + "active") == 0
    assert redis.llen(BASE + "pending") + len(log) == 500
    assert len(set(log.entries)) == len(log)


def test_a_slot_rests_between_tasks_and_never_with_the_last_ones_outcome_in_hand(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for that outcome would wait on, and be at work himself before he did."""
    ran, rested_after = Log(), []

    class Courteous:
        def give_way(self, now: float) -> float:
            rested_after.append(ran.entries[-1])
            return 0.0

    monkeypatch.setattr(slots, "courtesy_to", lambda thread: Courteous())
    with working(url, registry_of(ran.note)) as worker:
        push(redis, "alone")
        wait_until(lambda: worker.status.completed == 1, "it did not run")
        assert rested_after == []

        worker.pause()
        for number in range(100):
            push(redis, f"t{number}")
        worker.resume()
        wait_until(lambda: worker.status.completed == 101, "they did not run")

    assert rested_after
    assert "t99" not in rested_after
