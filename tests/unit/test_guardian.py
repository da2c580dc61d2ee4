"""What a guardian makes of the page that its kernel left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from runqy_notebook.broker.guardian import (
    APART,
    CLAIMED,
    DOUBTFUL,
    NOT_STARTED,
    PROVEN,
    STARTED,
    Held,
    blame,
    end_children,
    has_ended,
    read_page,
)
from runqy_notebook.broker.ledger import Ledger
from runqy_notebook.wire.documented import Task
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no guardian")


def held(state: int, pid: int = 0) -> Held:
    return Held(state, 0.0, pid, b"base:", b"id", b"token")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives until somebody ends it."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_the_only_task_in_the_kernel_is_to_blame_for_its_death() -> None:
    assert blame([held(CLAIMED), held(STARTED)], set()) == [NOT_STARTED, PROVEN]


def test_nobody_knows_which_of_several_it_was() -> None:
    assert blame([held(STARTED), held(STARTED)], set()) == [DOUBTFUL, DOUBTFUL]


def test_a_task_apart_is_to_blame_where_its_child_had_died() -> None:
    tasks = [held(APART), held(APART, 7), held(APART, 8), held(CLAIMED, 9), held(STARTED)]

    assert blame(tasks, {7, 9}) == [PROVEN, PROVEN, DOUBTFUL, NOT_STARTED, PROVEN]


def test_children_that_live_are_ended_and_told_from_those_that_died(
    sleeper: subprocess.Popen[bytes],
) -> None:
    dead = subprocess.Popen(["true"])
    wait_until(lambda: has_ended(dead.pid, 0.1), "it does not end")  # nobody has reaped it yet

    died = end_children([held(APART, sleeper.pid), held(APART, dead.pid), held(STARTED)])

    assert died == {dead.pid}
    assert sleeper.wait(5) == -9
    assert dead.wait(5) == 0


def test_a_living_process_has_not_ended(sleeper: subprocess.Popen[bytes]) -> None:
    began = time.monotonic()

    assert not has_ended(sleeper.pid, 0.05)

    assert time.monotonic() - began >= 0.04


def test_the_page_tells_how_far_each_task_is() -> None:
    ledger = Ledger()
    page, task = ledger.entry(1), Task("id", "q", b"asynq:q:|w/1:1|1")

    def told() -> list[tuple[int, int]]:
        return [(each.state, each.pid) for each in read_page(ledger._page)]

    page.claimed(task, 5.0)
    assert told() == [(CLAIMED, 0)]
    page.calling()
    assert told() == [(STARTED, 0)]
    page.lent(77)
    assert told() == [(CLAIMED, 77)]
    assert page.mark_of_a_child is not None
    file, place = page.mark_of_a_child
    os.pwrite(file, bytes([APART]), place)
    assert told() == [(APART, 77)]
    page.died_apart()
    assert told() == [(APART, 0)]
    page.free()
    assert told() == []
    ledger.close()


def test_a_task_whose_id_is_too_long_for_the_page_hides_the_one_before() -> None:
    ledger = Ledger()
    page = ledger.entry(1)
    page.claimed(Task("id", "q", b"asynq:q:|w/1:1|1"), 5.0)

    page.claimed(Task("x" * 9000, "q", b"asynq:q:|w/1:2|1"), 5.0)
    page.calling()

    assert list(read_page(ledger._page)) == []
    ledger.close()
