"""What each event changes about a card's view."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from runqy_notebook.ui.card_text import CardText, card_text
from runqy_notebook.ui.view import MOST_DISPLAYS, MOST_LINES, TaskView, Value, after, with_result
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.events import Event, Kind, decode_event, encode_event, of_outcome
from runqy_notebook.wire.outcomes import Archived, Completed, Released, Retried
from runqy_notebook.wire.states import State

NEW = TaskView("t", "q", enqueued_at=100.0, attempts=4)


def event(kind: Kind, at: float = 101.0, **fields: Any) -> Event:
    states = {Kind.STARTED: State.ACTIVE, Kind.DUE: State.PENDING, Kind.RELEASED: State.PENDING}
    return Event(kind, "t", "q", at, **{"state": states.get(kind), **fields})


STARTED = event(Kind.STARTED, by="w", attempt=1, attempts=4)


def a_task(retry: int = 0) -> Task:
    return Task("t", "q", b"token", retry=retry, max_retry=3)


def seen(*events: Event) -> TaskView:
    view = NEW
    for each in events:
        view = after(view, each)
    return view


def text(view: TaskView, now: float = 110.0) -> CardText:
    return card_text(view, now, None, "")


def test_it_runs_from_its_start_on() -> None:
    card = text(seen(STARTED), now=113.5)

    assert (card.title, card.facts) == ("running", "for 12 s")


def test_a_result_of_this_process_is_its_value() -> None:
    value = object()

    view = seen(STARTED, of_outcome(Completed(a_task(), value), 103.0, "w"))

    assert isinstance(view.result, Value)
    assert view.result.value is value
    assert (view.state, view.seconds, view.is_done) == (State.COMPLETED, 2.0, True)


def test_a_result_of_another_process_is_json() -> None:
    view = seen(STARTED, event(Kind.COMPLETED, state=State.COMPLETED, result=b'{"a":1}'))

    assert view.result == b'{"a":1}'


def test_a_failed_attempt_tells_its_error_and_when_the_next_is() -> None:
    retried = Retried(a_task(), "ValueError: no", 30.0, None, "Traceback ...")

    view = seen(STARTED, of_outcome(retried, 103.0, "w"))

    assert (view.state, view.error, view.due_at) == (State.RETRY, "ValueError: no", 133.0)
    assert text(view).facts == "in 2.0 s · attempt 1 of 4"
    assert "next attempt is due at" in text(view).remedy


def test_another_attempt_starts_afresh_but_keeps_the_log() -> None:
    failed = of_outcome(Retried(a_task(), "no", 1.0), 103.0, "w")
    logged = event(Kind.LOG, lines=("one",))
    progress = event(Kind.PROGRESS, done=1, total=2)

    view = seen(STARTED, logged, progress, failed, replace(STARTED, attempt=2, at=105.0))

    assert (view.state, view.attempt, view.error, view.done) == (State.ACTIVE, 2, "", 0)
    assert view.lines == ("one",)


def test_the_last_failure_names_the_way_back() -> None:
    view = seen(STARTED, of_outcome(Archived(a_task(3), "ValueError: no"), 103.0, "w"))

    assert (text(view).title, text(view).error) == ("failed", "ValueError: no")
    assert text(view).remedy == ("%runqy run t tries once more; %runqy delete t removes it.")


def test_a_cancelled_task_is_no_failure() -> None:
    card = text(seen(STARTED, of_outcome(Archived(a_task(), "cancelled"), 103.0, "w")))

    assert (card.title, card.tone, card.error) == ("cancelled", "warm", "")


def test_what_is_given_back_waits_again() -> None:
    assert seen(STARTED, of_outcome(Released(a_task()), 103.0, "w")).state is State.PENDING


@pytest.mark.parametrize("at", [103.0, 104.0])
def test_what_was_given_back_and_runs_elsewhere_runs_on_when_the_giving_back_is_heard_late(
    at: float,
) -> None:
    elsewhere = event(Kind.STARTED, 104.0, by="elsewhere", attempt=1, attempts=4)

    view = seen(STARTED, elsewhere, of_outcome(Released(a_task()), at, "w"))

    assert (view.state, view.by, view.started_at) == (State.ACTIVE, "elsewhere", 104.0)


@pytest.mark.parametrize("at", [101.0, 102.0])
def test_what_is_given_back_by_who_runs_it_waits_again(at: float) -> None:
    assert seen(STARTED, of_outcome(Released(a_task()), at, "w")).state is State.PENDING


def test_a_start_heard_after_the_failure_of_that_attempt_changes_nothing() -> None:
    failed = seen(STARTED, of_outcome(Retried(a_task(), "no", 60.0), 103.0, "w"))

    assert after(failed, STARTED) is failed


def test_an_end_counts_whenever_it_was() -> None:
    view = seen(event(Kind.STARTED, 104.0), event(Kind.COMPLETED, 103.0, state=State.COMPLETED))

    assert view.state is State.COMPLETED


@pytest.mark.parametrize("late", [STARTED, event(Kind.DUE), event(Kind.CANCELLING)])
def test_what_comes_late_changes_no_end_back(late: Event) -> None:
    done = seen(STARTED, of_outcome(Completed(a_task(), 1), 103.0, "w"))

    assert after(done, late).state is State.COMPLETED


def test_an_enqueueing_heard_after_the_start_changes_no_state_back() -> None:
    assert seen(STARTED, event(Kind.ENQUEUED, 100.0)).state is State.ACTIVE


def test_last_lines_are_taken_after_the_end_too() -> None:
    done = seen(STARTED, of_outcome(Completed(a_task(), 1), 103.0, "w"))

    assert after(done, event(Kind.LOG, lines=("last",))).lines == ("last",)


def test_lines_that_are_not_shown_are_counted_exactly() -> None:
    many = tuple(f"line {n}" for n in range(MOST_LINES - 10))

    view = seen(
        STARTED,
        event(Kind.LOG, lines=many, dropped=1_000),
        event(Kind.LOG, lines=many, dropped=2),
    )

    total = 2 * len(many) + 1_002
    assert view.lines_dropped == total - MOST_LINES
    assert view.lines[-1] == many[-1]
    assert text(view).dropped == f"… {total - 8:,} earlier lines not shown"
    done = after(view, of_outcome(Completed(a_task(), 1), 103.0, "w"))
    assert text(done).dropped == f"… {total - MOST_LINES:,} earlier lines not shown"


def test_a_line_still_being_written_is_replaced_by_the_next() -> None:
    view = seen(event(Kind.LOG, lines=("a",), note=" 10%|#  |"), event(Kind.LOG, note=" 20%|## |"))

    assert text(view).lines == "a\n 20%|## |"


def test_a_display_of_the_same_id_is_replaced_and_others_are_counted() -> None:
    shown = [event(Kind.DISPLAYED, data={"text/plain": f"{n}"}) for n in range(MOST_DISPLAYS)]
    first = event(Kind.DISPLAYED, data={"text/plain": "old"}, note="x")
    again = event(Kind.DISPLAYED, data={"text/plain": "new"}, note="x")

    view = seen(first, *shown[1:], again)
    more = after(view, replace(shown[0], dropped=5))

    assert view.displays[0].data["text/plain"] == "new"
    assert more.displays_dropped == 6
    assert text(more).displayed[0].text == "… 6 earlier outputs not shown"


def test_progress_tells_how_much_is_left() -> None:
    card = text(seen(STARTED, event(Kind.PROGRESS, done=25, total=100, note="warm")), now=111.0)

    assert card.progress == "25 % · warm · about 30 s left"


def test_a_deleted_task_is_over() -> None:
    view = seen(event(Kind.DELETED))

    assert view.is_done
    assert text(view).title == "deleted"


def test_what_a_handler_of_this_process_displays_keeps_its_rich_form() -> None:
    table = event(
        Kind.DISPLAYED,
        data={"text/html": "<table><td>1</td></table>", "text/plain": "1"},
        is_local=True,
    )
    drawing = event(Kind.DISPLAYED, data={"image/svg+xml": "<svg/>"}, is_local=True)

    card = text(seen(STARTED, table, drawing))

    assert "<table><td>1</td></table>" in card.html()
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in card.html()
    assert card.plain().splitlines()[-2:] == ["1", "(a picture)"]


def test_what_is_displayed_elsewhere_is_text_whatever_it_claims() -> None:
    told = encode_event(event(Kind.DISPLAYED, data={"text/html": "<b>x</b>", "text/plain": "x"}))
    forged = decode_event(told[:-1] + b', "is_local": true}')
    assert forged is not None

    card = text(seen(STARTED, forged))

    assert not forged.is_local
    assert "<b>" not in card.html()
    assert [part.text for part in card.displayed] == ["x"]


def test_html_that_is_too_large_for_a_card_is_left_for_its_text() -> None:
    data = {"text/html": "<i>" * 100_000, "text/plain": "short"}

    card = text(seen(STARTED, event(Kind.DISPLAYED, data=data, is_local=True)))

    assert (card.displayed[0].html, card.displayed[0].text) == (None, "short")


def test_a_scheduled_task_says_when_it_is_due() -> None:
    view = seen(event(Kind.ENQUEUED, state=State.SCHEDULED, due_at=160.0))

    assert text(view).title == "scheduled"
    assert text(view).facts.startswith("due at ")


def test_an_enqueued_that_comes_late_changes_no_state_back() -> None:
    assert seen(STARTED, event(Kind.ENQUEUED)).state is State.ACTIVE


def test_a_failed_task_that_was_deleted_offers_nothing_more() -> None:
    view = seen(STARTED, of_outcome(Archived(a_task(3), "no"), 103.0, "w"), event(Kind.DELETED))

    assert text(view).facts.startswith("deleted")
    assert (text(view).title, text(view).remedy) == ("failed", "")


def test_a_result_that_nobody_kept_is_told_of() -> None:
    done = replace(NEW, state=State.COMPLETED)

    assert with_result(done, b"7").result == b"7"
    assert "neither stored nor kept" in text(with_result(done, None)).remedy


def test_a_task_of_no_time_at_all_says_so() -> None:
    view = seen(STARTED, of_outcome(Completed(a_task(), 1), 101.0, "w"))

    assert text(view).facts == "in less than 1 ms"
