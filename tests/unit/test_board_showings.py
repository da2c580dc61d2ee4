"""What a person saw in a list who clicks while it changes."""

from __future__ import annotations

import pytest

from runqy_notebook.ui.board.showings import MOST, SETTLE, Showings
from tests.boarding import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shown(clock: Clock) -> Showings:
    """A list that was ab, and has been bc for a second."""
    made = Showings(clock)
    made.add("ab", 1)
    clock.now += 10
    made.add("bc", 1)
    clock.now += 1
    return made


def test_what_has_stood_there_for_a_while_is_meant(shown: Showings) -> None:
    assert [shown.seen(n, 0) for n in range(3)] == ["b", "c", None]
    assert shown.all_seen(0) == ("b", "c")


def test_what_just_came_is_not_meant_but_what_stood_there(shown: Showings, clock: Clock) -> None:
    shown.add("cd", 1)
    early = shown.seen(0, 0), shown.all_seen(0)
    clock.now += SETTLE
    late = shown.seen(0, 0), shown.all_seen(0)

    assert early == ("b", ("b", "c"))
    assert late == ("c", ("c", "d"))


def test_what_comes_to_an_empty_place_is_meant_at_once(shown: Showings) -> None:
    shown.add("bcd", 1)

    assert shown.seen(2, 0) == "d"


def test_another_answer_is_meant_at_once(shown: Showings) -> None:
    shown.add("xy", 2)

    assert (shown.seen(0, 0), shown.seen(0, 60)) == ("x", "x")


def test_of_a_click_that_comes_late_only_what_never_changed_is_known(shown: Showings) -> None:
    shown.add("bc", 1)  # the same: no change

    assert [shown.seen(0, late) for late in (0.1, 5, 60)] == ["b", None, None]
    assert shown.all_seen(0.1) == ("b", "c")
    assert shown.all_seen(5) is None


def test_a_place_that_stayed_the_same_is_known_however_late(shown: Showings, clock: Clock) -> None:
    shown.add("xc", 1)
    clock.now += 1

    assert (shown.seen(0, 1.5), shown.seen(1, 1.5)) == (None, "c")


def test_what_was_shown_too_long_ago_is_not_known(shown: Showings, clock: Clock) -> None:
    for n in range(MOST):
        clock.now += 1
        shown.add(["same", str(n)], 1)

    assert shown.seen(0, 20) == "same"
    assert shown.seen(0, 10 * MOST) is None
    assert shown.all_seen(10 * MOST) is None
