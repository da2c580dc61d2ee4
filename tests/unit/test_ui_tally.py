"""A group's counts, pace and failures."""

from __future__ import annotations

from itertools import count

from runqy_notebook.ui.group_card import group_text
from runqy_notebook.ui.tally import MOST_FAILURES, Tally
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State

STARTED = (Kind.STARTED, State.ACTIVE)
COMPLETED = (Kind.COMPLETED, State.COMPLETED)
ARCHIVED = (Kind.ARCHIVED, State.ARCHIVED)


def event(task: object, what: tuple[Kind, State], error: str = "") -> Event:
    return Event(what[0], str(task), "q", 0.0, state=what[1], error=error)


def a_tally(n: int) -> Tally:
    return Tally((str(i) for i in range(n)), 0.0)


def test_each_task_counts_once_whatever_is_heard_twice() -> None:
    tally = a_tally(3)
    for what in (STARTED, STARTED, COMPLETED, COMPLETED, STARTED):
        tally.take(event(0, what), 1.0)
    tally.take(event("a stranger", COMPLETED), 1.0)

    found = tally.summary(2.0)

    assert found.counts == {State.PENDING: 2, State.COMPLETED: 1}
    assert (found.finished, found.total, found.failed) == (1, 3, 0)


def test_the_pace_of_late_tells_when_it_ends() -> None:
    tally = a_tally(100)
    for n in range(20):
        tally.take(event(n, COMPLETED), 1.0 + n / 10)

    found = tally.summary(3.0)

    assert 9 <= found.rate <= 11
    assert 7 <= found.left <= 9


def test_failures_are_named_first_and_the_others_counted() -> None:
    tally = a_tally(40)
    for n in range(MOST_FAILURES + 7):
        tally.take(event(n, ARCHIVED, f"ValueError: {n}"), 1.0)

    text = group_text("q", tally.summary(2.0), "", "")

    assert len(text.failures) == MOST_FAILURES
    assert text.failures[0].error == "ValueError: 0"
    assert text.remedy == "… and 7 further failures: %runqy tasks q --state archived"
    assert text.tone == "bad"


def test_a_hundred_thousand_tasks_are_one_small_card() -> None:
    """The card's size is of the counts, and so is what a summary costs."""
    tally = a_tally(100_000)
    for n in range(50_000):
        tally.take(event(n, COMPLETED), 1.0 + n / 10_000)

    text = group_text("q", tally.summary(6.0), "", "")

    assert "50,000 pending · 50,000 completed" in text.facts
    assert len(text.html()) < 2_000


def test_unfinished_tasks_take_turns() -> None:
    tally = a_tally(5)
    tally.take(event(1, COMPLETED), 1.0)

    turns = [tally.next_unfinished(2) for _ in range(3)]

    assert turns == [["0", "2"], ["3", "4"], ["0", "2"]]


def test_a_task_that_is_gone_ends_the_group_too() -> None:
    tally = a_tally(1)

    tally.put("0", None, "gone", next(count(1)))

    assert tally.is_done
    assert "1 gone" in group_text("q", tally.summary(2.0), "", "").facts
