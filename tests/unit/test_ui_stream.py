"""In what order a stream shows what it hears."""

from __future__ import annotations

from runqy_notebook.ui.stream import put_by_time
from runqy_notebook.wire.events import Event, Kind


def in_order(*heard: tuple[Kind, float]) -> list[tuple[str, float]]:
    events: list[Event] = []
    for kind, at in heard:
        put_by_time(events, Event(kind, "t", "q", at))
    return [(event.kind.value, event.at) for event in events]


def test_what_comes_late_stands_where_its_time_belongs() -> None:
    assert in_order((Kind.STARTED, 2.0), (Kind.COMPLETED, 3.0), (Kind.ENQUEUED, 1.0)) == [
        ("enqueued", 1.0), ("started", 2.0), ("completed", 3.0),
    ]  # fmt: skip


def test_what_is_of_one_moment_stays_as_it_came() -> None:
    told = ((Kind.STARTED, 2.0), (Kind.COMPLETED, 2.0), (Kind.DELETED, 2.0))

    assert in_order(*told) == [(kind.value, at) for kind, at in told]


def test_a_task_is_enqueued_before_it_starts_although_both_are_of_one_millisecond() -> None:
    assert in_order((Kind.STARTED, 2.0), (Kind.COMPLETED, 2.0), (Kind.ENQUEUED, 2.0)) == [
        ("enqueued", 2.0), ("started", 2.0), ("completed", 2.0),
    ]  # fmt: skip


def test_what_a_handler_says_stays_where_it_came_whatever_its_clock_says() -> None:
    said = ((Kind.STARTED, 5.0), (Kind.PROGRESS, 1.0), (Kind.LOG, 99.0), (Kind.COMPLETED, 6.0))

    assert in_order(*said) == [(kind.value, at) for kind, at in said]
