"""How many tasks a slot claims at a time, and what becomes of them when one is slow."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Completed, Outcome, Released
from runqy_notebook.worker.batch import LOOK_EVERY, MOST, WINDOW, Batch, Pace, Relief


def tasks(count: int) -> list[Task]:
    return [Task(f"t{number}", "mail_default", b"token") for number in range(count)]


def test_a_slot_begins_with_one_task_at_a_time() -> None:
    assert Pace().size == 1


def test_handlers_that_take_no_time_make_it_claim_more_and_more_up_to_a_limit() -> None:
    pace, sizes = Pace(), []
    for _ in range(10):
        pace.ran(pace.size, seconds=0.0)
        sizes.append(pace.size)

    assert sizes == [2, 4, 8, 16, 32, MOST, MOST, MOST, MOST, MOST]


def test_a_single_slow_batch_makes_it_claim_one_task_again() -> None:
    pace = Pace()
    for _ in range(10):
        pace.ran(pace.size, seconds=0.0)

    pace.ran(pace.size, seconds=5.0)

    assert pace.size == 1


def test_where_slow_tasks_are_among_quick_ones_it_claims_one_at_a_time() -> None:
    pace, sizes = Pace(), set()

    for _ in range(10):
        for seconds in (0.08, 0.001, 0.002, 0.001, 0.0):
            pace.ran(pace.size, seconds)
            sizes.add(pace.size)

    assert sizes == {1}
    for _ in range(20):
        pace.ran(pace.size, seconds=0.0)
    assert pace.size == MOST


def test_where_less_was_found_than_asked_for_it_asks_for_no_more() -> None:
    pace = Pace()
    pace.ran(1, seconds=0.0)

    pace.ran(1, seconds=0.0)

    assert pace.size == 2


@given(st.lists(st.tuples(st.integers(0, MOST), st.floats(0, 100))))
def test_a_claim_is_never_larger_than_what_fits_into_a_window(
    batches: list[tuple[int, float]],
) -> None:
    pace = Pace()

    for count, seconds in batches:
        pace.ran(count, seconds)

        assert 1 <= pace.size <= MOST
        assert not count or pace.size == 1 or pace.size * seconds / count <= WINDOW


# --- what a slot holds ----------------------------------------------------------------------------


def test_a_slow_task_holds_up_neither_what_is_done_nor_what_has_not_begun() -> None:
    batch = Batch()
    first, second, third, fourth = tasks(4)
    batch.load([first, second, third, fourth])
    done = Completed(first, 1)
    batch.next()
    batch.add(done)
    batch.next()  # the slow one

    held = batch.take_all()

    # The last is given back first: each goes to the front of its queue.
    assert held == (done, Released(fourth), Released(third))
    assert batch.next() is None
    assert batch.take_done() == ()


@dataclass
class Slot:
    number: int = 1
    batch: Batch = field(default_factory=Batch)
    busy_since: float | None = None


def relief_of(slot: Slot, settled: list[Outcome]) -> Relief:
    def settle(name: str, outcomes: tuple[Outcome, ...]) -> None:
        settled.extend(outcomes)

    return Relief(lambda: [slot], settle, lambda error: None)


def test_the_relief_lets_a_quick_slot_go_on() -> None:
    slot, settled = Slot(busy_since=100.0), list[Outcome]()
    slot.batch.load(tasks(2))

    assert relief_of(slot, settled).look(100.0 + LOOK_EVERY / 2)

    assert settled == []
    assert len(slot.batch) == 2


def test_the_relief_gives_back_what_waits_for_a_slow_task() -> None:
    slot, settled = Slot(busy_since=100.0), list[Outcome]()
    slot.batch.load(tasks(2))
    relief = relief_of(slot, settled)

    assert relief.look(100.0 + 2 * LOOK_EVERY)
    assert not relief.look(100.0 + 3 * LOOK_EVERY)

    assert [type(outcome) for outcome in settled] == [Released, Released]


def test_a_slot_that_goes_on_waits_until_the_relief_has_given_back() -> None:
    """Or it would claim, and run, what comes after that."""
    slot, told = Slot(busy_since=100.0), list[str]()
    slot.batch.load(tasks(2))

    def go_on() -> None:
        slot.batch.finish()
        told.append("goes on")

    thread = threading.Thread(target=go_on)

    def settle(name: str, outcomes: tuple[Outcome, ...]) -> None:
        thread.start()
        thread.join(0.1)
        told.append("given back")

    Relief(lambda: [slot], settle, lambda error: None).look(100.0 + 2 * LOOK_EVERY)
    thread.join()

    assert told == ["given back", "goes on"]


def test_the_relief_looks_by_itself_once_there_is_a_batch() -> None:
    slot, settled = Slot(busy_since=time.monotonic() - 1), list[Outcome]()
    relief = relief_of(slot, settled)
    relief.start()
    try:
        slot.batch.load(tasks(2))
        relief.watch()
        ends = time.monotonic() + 10
        while not settled and time.monotonic() < ends:
            time.sleep(0.01)
    finally:
        relief.stop(1.0)

    assert len(settled) == 2


def test_a_relief_that_fails_says_so_and_goes_on() -> None:
    slot, faults = Slot(busy_since=time.monotonic() - 1), list[BaseException]()

    def settle(name: str, outcomes: tuple[Outcome, ...]) -> None:
        raise ValueError("no")

    relief = Relief(lambda: [slot], settle, faults.append)
    relief.start()
    try:
        for round_ in range(2):
            slot.batch.load(tasks(1))
            relief.watch()
            ends = time.monotonic() + 10
            while len(faults) <= round_ and time.monotonic() < ends:
                time.sleep(0.01)
    finally:
        relief.stop(1.0)

    assert [str(fault) for fault in faults] == ["no", "no"]
