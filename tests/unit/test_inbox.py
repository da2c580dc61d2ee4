"""What the worker of this process reported, and who is told."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest

from runqy_notebook.inbox import MOST_KEPT, Inbox
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import LARGEST_RESULT
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome, Released, Retried


class Holder:
    """Somebody who holds a task's handle."""

    def __init__(self, task_id: str = "t1") -> None:
        self.id = task_id
        self.told: list[Outcome] = []

    def report(self, outcome: Outcome) -> None:
        self.told.append(outcome)


def task(task_id: str = "t1") -> Task:
    return Task(task_id, "q", b"token")


def completed(value: object = 1, task_id: str = "t1") -> Completed:
    return Completed(task(task_id), value)


def kept(inbox: Inbox, task_id: str = "t1") -> list[Outcome]:
    """What somebody is told who asks for a task that nobody holds."""
    holder = inbox.adopt(task_id, lambda: Holder(task_id))
    assert isinstance(holder, Holder)
    return holder.told


def test_a_holder_is_told_whatever_the_value_is() -> None:
    inbox, holder, value = Inbox(), Holder(), object()
    inbox.expect(holder)

    inbox.deliver(completed(value))

    assert holder.told == [completed(value)]


def test_everybody_who_holds_the_task_is_told() -> None:
    inbox, holders = Inbox(), [Holder(), Holder(), Holder("t2")]
    for holder in holders:
        inbox.expect(holder)

    inbox.deliver(completed())

    assert [len(holder.told) for holder in holders] == [1, 1, 0]


def test_a_handle_that_was_let_go_does_not_keep_others_from_being_told() -> None:
    """As when a second task of the same id was refused."""
    inbox, holder, refused = Inbox(), Holder(), Holder()
    inbox.expect(holder)
    inbox.expect(refused)
    del refused

    inbox.deliver(completed())

    assert len(holder.told) == 1


def test_the_inbox_keeps_no_handle_alive() -> None:
    inbox = Inbox()
    inbox.expect(Holder())
    gc.collect()

    assert inbox.handle_of("t1") is None


def test_handles_that_are_gone_leave_nothing_behind() -> None:
    inbox = Inbox()

    for number in range(10 * MOST_KEPT):
        inbox.expect(Holder(f"t{number}"))
        inbox.expect(Holder("the same"))

    assert len(inbox._waiting) <= 2 * MOST_KEPT
    assert len(inbox._waiting["the same"]) <= 2


def test_what_nobody_waits_for_is_kept_for_a_while() -> None:
    inbox = Inbox()

    inbox.deliver(completed({"a": [1, 2]}))

    assert kept(inbox) == [completed({"a": [1, 2]})]


def test_only_the_newest_are_kept() -> None:
    inbox = Inbox()

    for number in range(MOST_KEPT + 10):
        inbox.deliver(completed(number, f"t{number}"))

    assert kept(inbox, "t9") == []
    assert kept(inbox, "t10") == [completed(10, "t10")]


@pytest.mark.parametrize("value", [None, 0, "text", [1.5] * 100, {"a": np.float32(1)}, (1, {2})])
def test_small_values_are_kept(value: object) -> None:
    inbox = Inbox()

    inbox.deliver(completed(value))

    assert len(kept(inbox)) == 1


class Hostile:
    def __sizeof__(self) -> int:
        raise RuntimeError


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    "value",
    [
        "x" * LARGEST_RESULT,
        [[0] * 100_000],
        np.zeros(100_000),
        object(),
        b"bytes",
        Hostile(),
        CIRCLE,
    ],
    ids=["text", "list", "array", "object", "bytes", "hostile", "circle"],
)
def test_large_values_and_such_that_are_no_json_are_not_kept(value: object) -> None:
    inbox = Inbox()

    inbox.deliver(completed(value))

    assert kept(inbox) == []


def test_a_kept_failure_does_not_hold_what_its_handler_had() -> None:
    inbox = Inbox()
    outcome = Archived(task(), "ValueError: boom", ValueError("boom"), "Traceback ...")

    inbox.deliver(outcome)

    assert kept(inbox) == [Archived(task(), "ValueError: boom", None, "Traceback ...")]


def test_only_the_end_of_a_task_is_kept() -> None:
    inbox = Inbox()

    inbox.deliver(Retried(task(), "ValueError: boom", 1.0))
    inbox.deliver(Released(task()))

    assert kept(inbox) == []


def test_of_an_unfinished_task_what_came_since_the_look_is_told_and_nothing_earlier() -> None:
    inbox, again, ended = Inbox(), Holder("again"), Holder("ended")
    inbox.deliver(completed("an earlier run", "again"))
    before = {task_id: inbox.kept(task_id) for task_id in ("again", "ended")}
    inbox.deliver(completed("this run", "ended"))

    inbox.take_up(again, before["again"])
    inbox.take_up(ended, before["ended"])

    assert again.told == []
    assert ended.told == [completed("this run", "ended")]
    inbox.deliver(completed("this run", "again"))
    assert again.told == [completed("this run", "again")]


def test_a_later_run_replaces_what_was_kept_of_an_earlier_one() -> None:
    inbox = Inbox()
    inbox.deliver(completed(1))

    inbox.deliver(completed(object()))

    assert kept(inbox) == []


def test_a_new_task_of_the_same_id_is_not_told_of_the_old_one() -> None:
    inbox, holder = Inbox(), Holder()
    inbox.deliver(completed(1))

    inbox.expect(holder)

    assert holder.told == []
    assert kept(inbox) == []


def test_a_task_that_existed_already_has_the_handle_it_had() -> None:
    inbox, before, again = Inbox(), Holder(), Holder()
    inbox.expect(before)
    inbox.expect(again)

    assert inbox.same(again) is before


def test_a_task_that_is_twice_in_a_batch_has_one_handle() -> None:
    inbox, first, second = Inbox(), Holder(), Holder()
    inbox.deliver(completed(1))
    inbox.expect(first)
    inbox.expect(second)

    assert inbox.same(first) is inbox.same(second) is first
    assert first.told == [completed(1)]


def test_a_task_that_existed_already_has_the_outcome_that_was_kept() -> None:
    inbox, again = Inbox(), Holder()
    inbox.deliver(completed(1))
    inbox.expect(again)

    assert inbox.same(again) is again
    assert again.told == [completed(1)]


def test_the_handle_of_a_task_is_the_one_that_somebody_holds() -> None:
    inbox, holder = Inbox(), Holder()
    inbox.expect(holder)

    assert inbox.handle_of("t1") is holder
    assert inbox.adopt("t1", Holder) is holder
    assert inbox.handle_of("t2") is None


def test_an_adopted_handle_is_told_of_what_comes_later() -> None:
    inbox = Inbox()
    holder = inbox.adopt("t1", Holder)
    assert isinstance(holder, Holder)

    inbox.deliver(completed())

    assert holder.told == [completed()]


def test_threads_may_share_an_inbox() -> None:
    inbox, holders = Inbox(), [Holder(f"t{n}") for n in range(2_000)]

    def expect(some: list[Holder]) -> None:
        for holder in some:
            inbox.expect(holder)
            inbox.deliver(completed(1, holder.id))

    threads = [threading.Thread(target=expect, args=(holders[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(len(holder.told) == 1 for holder in holders)
