"""What a board counts second by second, and what it credits that nobody told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.ui.board.seconds import KEPT, Second, Seconds, together
from runqy_notebook.ui.board.unheard import Unheard


def test_quiet_seconds_are_told_too_and_the_running_one_is_not() -> None:
    seconds = Seconds()
    seconds.at(10).completed += 3
    seconds.at(12).completed += 1
    seconds.at(13).completed += 9

    found = seconds.last(5, until=13)

    assert [(each.at, each.completed) for each in found] == [
        (8, 0), (9, 0), (10, 3), (11, 0), (12, 1),
    ]  # fmt: skip


def test_ten_minutes_are_remembered_and_no_more() -> None:
    seconds = Seconds()
    for at in range(2 * KEPT):
        seconds.at(at).enqueued += 1

    found = seconds.last(2 * KEPT, until=2 * KEPT)

    assert sum(each.enqueued for each in found) == KEPT
    assert found[-1].enqueued == 1


def test_pieces_hold_all_seconds_the_newest_piece_whole() -> None:
    seconds = [Second(at, completed=at) for at in range(7)]

    pieces = together(seconds, 3)

    assert [(each.at, each.completed) for each in pieces] == [(0, 0), (1, 6), (4, 15)]


def test_what_no_event_told_is_credited_once_it_was_missing_twice() -> None:
    unheard = Unheard(100)

    found = [unheard.look(105), unheard.look(105), unheard.look(105)]

    assert found == [0, 5, 0]


def test_what_events_told_is_never_credited_whichever_came_first() -> None:
    unheard = Unheard(0)
    unheard.hear(3)

    early = [unheard.look(2), unheard.look(3)]
    late = unheard.look(5)
    unheard.hear(2)

    assert [*early, late, unheard.look(5), unheard.look(5)] == [0, 0, 0, 0, 0]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=30))
def test_in_the_end_everything_was_heard_or_credited(steps: list[tuple[int, int]]) -> None:
    """Of each step some tasks told of their end, and some did not."""
    unheard, counter, credited = Unheard(0), 0, 0
    for told, silent in steps:
        counter += told + silent
        unheard.hear(told)
        credited += unheard.look(counter)
    credited += unheard.look(counter) + unheard.look(counter)

    assert credited == sum(silent for _, silent in steps)
