"""Suspects run in a process of their own, and cost nobody else a slot."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from tests.broking import BASE, field, places, push
from tests.waiting import wait_until
from tests.working import registry_of, told, working

Handler = Callable[[dict[str, Any]], object]


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """The file for which suspects wait."""
    return tmp_path / "go"


@pytest.fixture
def handler(tmp_path: Path, go: Path) -> Handler:
    """Writes down where each task ran; a suspect goes on when it is told to."""
    log, signal = str(tmp_path / "log"), str(go)

    def act(payload: dict[str, Any]) -> None:
        with open(log, "a") as journal:
            journal.write(f"start {payload['task_id']} {os.getpid()}\n")
        while payload.get("waits") and not os.path.exists(signal):
            time.sleep(0.01)
        with open(log, "a") as journal:
            journal.write(f"end {payload['task_id']} {os.getpid()}\n")

    return act


def log_of(go: Path) -> list[list[str]]:
    log = go.with_name("log")
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def push_suspects(redis: redis_py.Redis, count: int) -> list[str]:
    ids = [f"suspect{number}" for number in range(count)]
    for task_id in ids:
        push(redis, task_id, losses="1", payload='{"waits": true}')
    return ids


def test_suspects_that_wait_for_their_turn_leave_the_slots_to_others(
    redis: redis_py.Redis, url: str, handler: Handler, go: Path
) -> None:
    suspects = push_suspects(redis, 4)
    for number in range(10):
        push(redis, f"innocent{number}")

    with working(url, registry_of(handler), concurrency=2) as worker:
        wait_until(lambda: worker.status.completed == 10, "the innocents wait")
        wait_until(lambda: set(worker.status.running) == set(suspects), "they are not set aside")
        go.touch()
        wait_until(lambda: worker.status.completed == 14, "the suspects do not run", 20)

    runs = [line for line in log_of(go) if line[1] in suspects]
    assert [what for what, *_ in runs] == ["start", "end"] * 4  # one at a time
    assert str(os.getpid()) not in {pid for *_, pid in runs}
    assert redis.zcard(BASE + "completed") == 14


def test_suspects_go_back_to_their_queue_when_the_worker_stops_and_their_child_ends(
    redis: redis_py.Redis, url: str, handler: Handler, go: Path
) -> None:
    suspects = push_suspects(redis, 2)

    with working(url, registry_of(handler), concurrency=1) as worker:
        wait_until(lambda: len(worker.status.running) == 2, "they were not taken")
        wait_until(lambda: log_of(go), "none was started")
        stopped = worker.stop(0)

    ((_, started, pid),) = log_of(go)
    assert set(stopped.released) == set(suspects)
    assert [places(redis, task_id) for task_id in suspects] == [["pending"]] * 2
    assert field(redis, started, "losses") == b"1"
    wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the child lives")


@pytest.mark.parametrize("flag", [{"cancel": "1"}, {"claim": "another's"}])
def test_a_suspect_that_is_cancelled_or_lost_is_ended(
    redis: redis_py.Redis, url: str, handler: Handler, go: Path, flag: dict[str, str]
) -> None:
    push_suspects(redis, 1)

    with working(url, registry_of(handler), lease=1.5, cancel_grace=0.2) as worker:
        wait_until(lambda: log_of(go), "it was not started")
        redis.hset("asynq:t:suspect0", mapping=flag)
        wait_until(lambda: not worker.status.running, "it goes on")
        pid = log_of(go)[0][2]
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the child lives")
        if "cancel" in flag:
            wait_until(lambda: places(redis, "suspect0") == ["archived"], "it is not archived")
            assert field(redis, "suspect0", "error_msg") == b"cancelled"
        else:
            wait_until(lambda: told(worker, "is no longer ours"), "nothing was told")
            assert field(redis, "suspect0", "crashes") is None
