"""When a slot rests for the thread of the cells, and for how long."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from runqy_notebook.worker import courtesy as courtesy_module
from runqy_notebook.worker.courtesy import EVERY, LONGEST, NAP, STILL, Courtesy, courtesy_to

TASK = 0.0001  # seconds that a task of the slot takes


class World:
    """Two threads and a clock. The other thread computes from one time to another."""

    def __init__(self) -> None:
        self.now = 100.0
        self.busy: list[tuple[float, float]] = []
        self.looks = 0

    def used(self) -> float:
        self.looks += 1
        return sum(max(0.0, min(self.now, end) - begin) for begin, end in self.busy)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    clocks = SimpleNamespace(monotonic=lambda: made.now, sleep=made.sleep)
    monkeypatch.setattr(courtesy_module, "time", clocks)
    return made


def rested(world: World, courtesy: Courtesy, seconds: float) -> float:
    """How long a slot with quick tasks rests within that time."""
    ends, total = world.now + seconds, 0.0
    while world.now < ends:
        world.now += TASK
        total += courtesy.give_way(world.now)
    return total


def test_a_slot_rests_while_the_other_thread_is_at_work_and_then_goes_on(world: World) -> None:
    courtesy = Courtesy(world.used)
    world.busy.append((world.now, world.now + 0.006))

    assert 0.005 < rested(world, courtesy, 0.1) < 0.006 + 2 * NAP


def test_it_does_not_rest_for_a_thread_that_waits(world: World) -> None:
    assert rested(world, Courtesy(world.used), 0.1) == 0


def test_a_thread_that_computes_for_long_gets_no_more_than_a_moment(world: World) -> None:
    courtesy = Courtesy(world.used)
    world.busy.append((world.now, world.now + 3_600))

    assert rested(world, courtesy, 5) == pytest.approx(LONGEST, abs=0.001)


def test_once_it_stood_still_it_goes_first_again(world: World) -> None:
    courtesy = Courtesy(world.used)
    for _ in range(3):
        world.busy.append((world.now, world.now + 1))

        assert rested(world, courtesy, 1) == pytest.approx(LONGEST, abs=0.001)

        world.now += 2 * STILL
        rested(world, courtesy, 2 * STILL)


def test_quick_tasks_do_not_pay_for_a_look_each(world: World) -> None:
    courtesy = Courtesy(world.used)
    world.looks = 0

    rested(world, courtesy, 1)

    assert world.looks <= 1 / EVERY


def test_the_clock_of_a_real_thread_tells_whether_it_computes() -> None:
    waits, over = threading.Event(), threading.Event()

    def compute_and_wait() -> None:
        sum(range(2_000_000))
        waits.set()
        over.wait()

    thread = threading.Thread(target=compute_and_wait)
    thread.start()
    courtesy = courtesy_to(thread)
    waits.wait()

    if hasattr(time, "pthread_getcpuclockid"):
        assert courtesy is not None
        assert courtesy._used() > 0
        before = courtesy._used()
        sum(range(2_000_000))
        assert courtesy._used() - before < 0.01
    else:
        assert courtesy is None
    over.set()
    thread.join()
