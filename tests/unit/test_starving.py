"""Who is blamed when the pulse comes late."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from runqy_notebook.wire.documented import Task
from runqy_notebook.worker.starving import Starvation, cpu_clock
from tests.working import registry_of

TASK = Task("t1", "mail_default", b"token")


@dataclass
class FakeRunning:
    since: float = 0.0
    task: Task = TASK


@dataclass(eq=False)
class FakeSlot:
    cpu_clock: int | None
    latest: FakeRunning | None = field(default_factory=FakeRunning)


def crunch(payload: object) -> None: ...


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def starvation(told: list[str]) -> Starvation:
    return Starvation(registry_of(crunch), list, told.append)


@pytest.fixture
def idle_clock() -> Iterator[int | None]:
    """The CPU clock of a thread that only waits."""
    clocks: list[int | None] = []
    known, over = threading.Event(), threading.Event()

    def wait() -> None:
        clocks.append(cpu_clock())
        known.set()
        over.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    known.wait()
    yield clocks[0]
    over.set()
    thread.join()


def compute(seconds: float) -> None:
    ends = time.thread_time() + seconds
    while time.thread_time() < ends:
        pass


@pytest.mark.skipif(cpu_clock() is None, reason="no clocks of threads on this system")
def test_the_thread_that_computed_meanwhile_is_blamed(
    starvation: Starvation, told: list[str], idle_clock: int
) -> None:
    busy, idle = FakeSlot(cpu_clock()), FakeSlot(idle_clock)
    idle.latest = FakeRunning(0.0, Task("t2", "other", b""))
    slots = [busy, idle]

    starvation.look(0.0, slots, 10.0)
    compute(0.6)
    starvation.look(1.0, slots, 11.0)
    starvation.look(0.0, slots, 11.2)
    compute(1.1)
    starvation.look(2.0, slots, 13.0)

    assert starvation.longest == {"crunch": 2.0}
    assert len(told) == 1
    assert "'crunch' (task t1) held Python's lock for 1.0 s" in told[0]


@pytest.mark.skipif(cpu_clock() is None, reason="no clocks of threads on this system")
def test_a_machine_that_slept_is_nobodys_fault(
    starvation: Starvation, told: list[str], idle_clock: int
) -> None:
    slots = [FakeSlot(idle_clock)]

    starvation.look(0.0, slots, 10.0)
    starvation.look(60.0, slots, 70.0)

    assert told == []


def test_a_short_wait_is_nobodys_fault(starvation: Starvation, told: list[str]) -> None:
    starvation.look(0.9, [FakeSlot(None)], 10.0)

    assert told == []


def test_without_clocks_only_a_single_task_is_blamed(
    starvation: Starvation, told: list[str]
) -> None:
    one, other = FakeSlot(None), FakeSlot(None)

    starvation.look(3.0, [one, other], 10.0)
    assert told == []
    starvation.look(3.0, [one], 10.0)
    assert len(told) == 1
