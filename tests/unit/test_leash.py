"""Telling a run to end."""

from __future__ import annotations

from runqy_notebook.worker.leash import Ending, Leash


def test_a_pull_ends_what_can_be_ended_once_and_the_first_reason_stays() -> None:
    leash, ended = Leash(), list[str]()

    with leash.ending(lambda: ended.append("a")), leash.ending(lambda: ended.append("b")):
        leash.pull(Ending.CANCELLED)
        leash.pull(Ending.LOST)

    assert leash.is_pulled
    assert leash.why is Ending.CANCELLED
    assert ended == ["a", "b"]


def test_what_comes_after_the_pull_is_ended_at_once_and_what_is_over_is_left_alone() -> None:
    leash, ended = Leash(), list[str]()
    with leash.ending(lambda: ended.append("over")):
        pass
    leash.pull(Ending.LOST)

    with leash.ending(lambda: ended.append("late")):
        pass

    assert ended == ["late"]
