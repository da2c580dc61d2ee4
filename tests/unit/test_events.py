"""Events as JSON, and the hub that hands them on."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runqy_notebook.errors import QueueNameError
from runqy_notebook.events import Events
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import Event, Kind, decode_event, encode_event, of_outcome
from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome, Released, Retried
from runqy_notebook.wire.states import State

TASK = Task("t1", "mail_default", b"token", retry=1, max_retry=3)
STARTED = Event(Kind.STARTED, "t1", "mail_default", 1763785000.123, state=State.ACTIVE)

texts = st.text(st.characters(exclude_categories=["Cs"]))
events = st.builds(
    Event,
    kind=st.sampled_from(Kind),
    task_id=texts,
    queue=texts,
    at=st.floats(0, 1e11),
    by=texts,
    state=st.sampled_from(State),
    attempt=st.integers(0, 10**9),
    attempts=st.integers(0, 10**9),
    due_at=st.none() | st.floats(1, 1e11),
    error=texts,
    result=st.sampled_from([None, b"null", b'{"a": [1]}']),
    done=st.floats(0, 1e9),
    total=st.floats(0, 1e9),
    note=texts,
    lines=st.lists(texts).map(tuple),
    dropped=st.integers(0, 10**9),
    data=st.none() | st.dictionaries(texts, texts, min_size=1),
)


@given(events)
def test_an_event_survives_the_way_through_a_channel(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


def test_an_id_that_is_no_utf_8_survives_it_too() -> None:
    event = Event(Kind.STARTED, b"\xff".decode("utf-8", "surrogateescape"), "q", 1.0)

    assert decode_event(encode_event(event)).task_id == event.task_id  # type: ignore[union-attr]


@pytest.mark.parametrize("half", [0xD800, 0xDC7F, 0xDD00, 0xDFFF])
def test_half_a_character_is_replaced_and_what_to_text_kept_of_bytes_is_not(half: int) -> None:
    event = Event(Kind.DISPLAYED, "t\udcff", "q", 1.0, data={"text/plain": f"a{chr(half)}b"})

    told = decode_event(encode_event(event))

    assert told is not None
    assert (told.task_id, told.data) == ("t\udcff", {"text/plain": "a\ufffdb"})


WHOLE: dict[str, Any] = {"event": "started", "id": "t1", "queue": "q", "at": 1}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        *(
            json.dumps({**WHOLE, **odd}).encode()
            for odd in (
                {"event": "exploded"},
                {"event": None},
                {"id": 7},
                {"queue": ["q"]},
                {"at": "soon"},
                {"at": None},
                {"state": "gone"},
                {"attempt": "many"},
                {"attempt": 1e999},
                {"error": {"a": 1}},
                {"lines": 3},
                {"lines": [3]},
                {"data": "x"},
                {"data": {"text/plain": 1}},
                {"due_at": "x"},
            )
        ),
        *(json.dumps({k: v for k, v in WHOLE.items() if k != name}).encode() for name in WHOLE),
    ],
)
def test_what_is_no_event_is_passed_over(text: bytes) -> None:
    assert decode_event(text) is None


@pytest.mark.parametrize(
    ("outcome", "kind", "state", "error"),
    [
        (Completed(TASK, 3), Kind.COMPLETED, State.COMPLETED, ""),
        (Retried(TASK, "oh", 5.0), Kind.RETRIED, State.RETRY, "oh"),
        (Archived(TASK, "oh"), Kind.ARCHIVED, State.ARCHIVED, "oh"),
        (Released(TASK), Kind.RELEASED, State.PENDING, ""),
        (Crashed(TASK, "oh"), Kind.REDELIVERED, State.PENDING, "oh"),
    ],
)
def test_an_outcome_is_an_event(outcome: Outcome, kind: Kind, state: State, error: str) -> None:
    event = of_outcome(outcome, 100.0, "w")

    assert (event.kind, event.state, event.error) == (kind, state, error)
    assert (event.attempt, event.attempts, event.at, event.by) == (2, 4, 100.0, "w")
    assert event.outcome is outcome
    assert event.due_at == (105.0 if kind is Kind.RETRIED else None)


# --- the hub --------------------------------------------------------------------------------------


def test_a_listener_hears_the_queues_that_its_names_select() -> None:
    hub, heard = Events(), list[str]()
    hub.subscribe(lambda event: heard.append(event.queue), names=["mail"])

    for queue in ("mail_default", "mail_high", "mailing_default", "other"):
        hub.publish(Event(Kind.STARTED, "t", queue, 0.0))

    assert heard == ["mail_default", "mail_high"]


def test_a_listener_of_tasks_hears_of_no_others() -> None:
    hub, heard = Events(), list[str]()
    hub.subscribe(lambda event: heard.append(event.task_id), ids=["a", "b"])

    for task_id in "abc":
        hub.publish(Event(Kind.STARTED, task_id, "q", 0.0))

    assert heard == ["a", "b"]


def test_a_listener_that_raises_is_told_and_keeps_no_other_from_hearing() -> None:
    faults, heard = list[BaseException](), list[Event]()
    hub = Events(faults.append)
    hub.subscribe(lambda event: 1 / 0)  # type: ignore[arg-type,return-value]
    hub.subscribe(heard.append)

    hub.publish(STARTED)
    hub.publish(STARTED)

    assert heard == [STARTED, STARTED]
    assert [type(fault) for fault in faults] == [ZeroDivisionError, ZeroDivisionError]


def test_who_has_unsubscribed_hears_nothing_more() -> None:
    hub, heard = Events(), list[Event]()
    subscription = hub.subscribe(heard.append)
    hub.unsubscribe(subscription)

    hub.publish(STARTED)

    assert heard == []
    assert hub.subscriptions == ()


def test_a_name_that_no_queue_can_have_is_refused() -> None:
    with pytest.raises(QueueNameError):
        Events().subscribe(print, names=["a b"])


def test_a_listener_of_tasks_hears_what_happens_to_their_queue_itself() -> None:
    hub, heard = Events(), []
    hub.subscribe(heard.append, ids=["t1"], names=["mail"])

    hub.publish(Event(Kind.PAUSED, "", "mail_default", 1.0))
    hub.publish(Event(Kind.PAUSED, "", "other_default", 1.0))
    hub.publish(Event(Kind.STARTED, "t2", "mail_default", 1.0))

    assert [(event.kind, event.queue) for event in heard] == [(Kind.PAUSED, "mail_default")]


def test_an_event_on_its_way_while_listeners_are_exchanged_is_told_once() -> None:
    """The hub has begun to tell it: those who stood there then are told, however it changes."""
    hub = Events()
    old: list[str] = []
    new: list[str] = []

    def exchange(event: Event) -> None:
        hub.unsubscribe(first)
        hub.exchange(second, lambda event: new.append(event.task_id), ids=["t1"])

    first = hub.subscribe(exchange)
    second = hub.subscribe(lambda event: old.append(event.task_id))

    hub.publish(STARTED)
    assert (old, new) == (["t1"], [])
    hub.publish(STARTED)
    assert (old, new) == (["t1"], ["t1"])
