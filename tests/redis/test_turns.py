"""Turns of threads are short while slots have tasks, and as before whenever they have none."""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest
import redis as redis_py

from tests.broking import push
from tests.waiting import wait_until
from tests.working import registry_of, told, working

BEFORE = sys.getswitchinterval()


def is_as_before() -> bool:
    return sys.getswitchinterval() == pytest.approx(BEFORE)


def test_a_worker_that_waits_for_tasks_leaves_the_turns_as_they_were(
    redis: redis_py.Redis, url: str
) -> None:
    during: list[bool] = []

    with working(url, registry_of(lambda payload: during.append(is_as_before()))):
        for number in range(2):
            push(redis, f"t{number}")
            wait_until(lambda n=number: len(during) > n, "it did not run")
            wait_until(is_as_before, "the turns stay short")

    assert during == [False, False]


def test_a_slot_that_was_given_up_leaves_them_when_its_handler_returns(
    redis: redis_py.Redis, url: str
) -> None:
    begun, may_return = threading.Event(), threading.Event()

    def hangs(payload: object) -> None:
        begun.set()
        may_return.wait()

    push(redis, "hangs", timeout="0.1", max_retry="0")
    with working(url, registry_of(hangs)) as worker:
        begun.wait()
        wait_until(lambda: worker.status.abandoned == 1, "the slot is not given up")
        assert not is_as_before()

        may_return.set()

        wait_until(is_as_before, "the turns stay short")


def test_a_slot_that_rests_after_a_fault_of_ours_leaves_them(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_us(payload: object) -> None:
        monkeypatch.setattr(worker.serving, "claimable", fault)

    def fault(*_: Any) -> Any:
        raise ZeroDivisionError

    with working(url, registry_of(breaks_us)) as worker:
        push(redis, "t1")
        wait_until(lambda: told(worker, "Something went wrong") != [], "there was no fault")

        wait_until(is_as_before, "the turns stay short")
        monkeypatch.undo()
