"""The Tasks panel on a real server: pages, search, ticks and what is done to several tasks."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.session import Session
from runqy_notebook.ui.board import showings
from runqy_notebook.ui.board.echoes import Echoes
from runqy_notebook.ui.board.enqueue import Enqueue
from runqy_notebook.ui.board.tasks import CHANGED, Tasks
from runqy_notebook.wire.states import State
from tests.boarding import (
    Seen,
    assert_shows_text_only,
    is_pale,
    looked_at,
    named,
    names_of,
    opened,
    parts,
    place,
    rows,
    told,
    until,
)
from tests.broking import push
from tests.echo.senders import post
from tests.hostile import HOSTILE

Opened = tuple[Tasks, Seen]


@pytest.fixture
def panel(session: Session, redis: redis_py.Redis) -> Iterator[Opened]:
    """45 pending tasks t00 to t44, the first to run first."""
    redis.sadd("asynq:queues", "mail_default")
    for n in range(45):
        push(redis, f"t{n:02}", type="letter" if n % 5 else "parcel")
    with opened(Tasks, session) as made:
        until(made[0], lambda: bool(rows(made[0])), "nothing is shown")
        yield made


def t(*numbers: int) -> list[str]:
    return [f"t{n:02}" for n in numbers]


def test_pages_are_turned(panel: Opened) -> None:
    (board, _) = panel
    seen = [rows(board)]

    for name in ("Next", "Next", "Previous", "First"):
        named(board, name).click()
        looked_at(board)
        seen.append(rows(board))
    named(board, "Page").value = 5
    looked_at(board)

    assert [each[0] for each in seen] == t(0, 10, 20, 10, 0)
    assert rows(board) == t(40, 41, 42, 43, 44)
    assert "41 to 45 of 45 pending tasks" in told(board)
    assert is_pale(named(board, "Next"))
    assert (named(board, "Page").value, named(board, "Page").max) == (5, 5)


def test_the_number_of_rows_the_state_and_the_queue_can_be_chosen(
    panel: Opened, redis: redis_py.Redis
) -> None:
    (board, _) = panel
    redis.zadd("asynq:other_default:archived", {"x": 1_000_000})
    redis.hset("asynq:t:x", mapping={"error_msg": "no luck", "max_retry": "0"})
    redis.sadd("asynq:queues", "other_default")

    named(board, "Rows").value = 50
    looked_at(board)
    n_pending = len(rows(board))
    named(board, "State").value = State.ARCHIVED
    looked_at(board)
    archived, shown = rows(board), told(board)
    until(board, lambda: "other_default" in dict(named(board, "Queue").options), "not offered")
    named(board, "Queue").value = "mail_default"
    looked_at(board)

    assert (n_pending, archived) == (45, ["x"])
    assert "no luck" in shown
    assert rows(board) == []
    assert "No archived tasks." in told(board)


def test_a_search_shows_what_it_finds_and_how_far_it_looked(panel: Opened) -> None:
    (board, _) = panel

    named(board, "Search").value = "PARCEL"
    until(board, lambda: len(rows(board)) == 9, "not found")
    found, shown = rows(board), told(board)
    named(board, "Search").value = ""
    looked_at(board)

    assert found == t(0, 5, 10, 15, 20, 25, 30, 35, 40)
    assert "9 found, looked at 45 of 45 pending tasks" in shown
    assert rows(board) == t(*range(10))


def test_a_search_has_pages_too(panel: Opened) -> None:
    (board, _) = panel

    named(board, "Search").value = "t"
    until(board, lambda: rows(board) == t(*range(10)), "not found")
    named(board, "Next").click()
    until(board, lambda: rows(board) == t(*range(10, 20)), "no second page")
    named(board, "Previous").click()
    until(board, lambda: rows(board) == t(*range(10)), "no way back")

    assert named(board, "Page").disabled


def test_a_search_through_many_goes_on_by_itself(session: Session, redis: redis_py.Redis) -> None:
    redis.lpush("asynq:mail_default:pending", *(f"n{n}" for n in range(50_000)), "needle")
    redis.sadd("asynq:queues", "mail_default")
    with opened(Tasks, session) as (board, _):
        named(board, "Search").value = "needl"
        looked_at(board)
        first = told(board)
        until(board, lambda: rows(board) == ["needle"], "not found")

        assert "looked at 20,000 of 50,001 pending tasks …" in first
        until(board, lambda: "1 found, looked at 50,001 of" in told(board), "it did not end")


def test_the_task_whose_id_was_pasted_is_found_in_any_state(
    panel: Opened, redis: redis_py.Redis
) -> None:
    (board, _) = panel
    redis.zadd("asynq:mail_default:completed", {"done-1": 4_000_000_000})
    redis.hset("asynq:t:done-1", mapping={"state": "completed", "queue": "mail_default"})

    named(board, "Search").value = " done-1 "

    until(board, lambda: rows(board) == ["done-1"], "not found")
    assert ">completed</span>" in told(board)


def test_a_click_shows_the_card_and_marks_the_row(panel: Opened) -> None:
    (board, seen) = panel

    named(board, f"Show row {place(board, 't03')}").click()
    until(board, lambda: bool(seen.cards), "no card")

    assert [card.id for card in seen.cards] == ["t03"]
    assert rows(board)[3] == "▸ t03"


def in_a_minute(board: Tasks) -> None:
    """The next look of the board, some time later: it reads what is due then."""
    now = board.list._clock()
    board.list._clock = lambda: now + 60
    looked_at(board)


@pytest.mark.parametrize("held_by", ["Select row 2", "Hold still"])
def test_while_something_is_ticked_or_a_person_says_so_the_list_holds_still(
    panel: Opened, redis: redis_py.Redis, held_by: str
) -> None:
    (board, _) = panel
    named(board, held_by).value = True
    looked_at(board)

    redis.rpop("asynq:mail_default:pending", 5)
    in_a_minute(board)
    held, caption = rows(board), told(board)
    named(board, held_by).value = False
    in_a_minute(board)

    assert held == t(*range(10))
    assert "held still" in caption
    assert rows(board)[0] == "t05"


def test_what_is_asked_for_is_shown_although_the_list_is_held(panel: Opened) -> None:
    (board, seen) = panel
    named(board, "Hold still").value = True

    named(board, "Next").click()
    looked_at(board)
    tick(board, "t11", "t12")
    said = act(board, seen, "Cancel")
    until(board, lambda: "t11" not in rows(board), "what was cancelled is there still")

    assert said == "Cancelled 2 tasks."
    assert rows(board)[:2] == t(10, 13)


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A person takes an hour to notice what changed, but for what was seen to the end."""
    monkeypatch.setattr(showings, "SETTLE", 3600)
    return lambda: monkeypatch.setattr(showings, "SETTLE", 0)


def test_a_click_goes_to_the_task_that_the_person_saw(
    panel: Opened, redis: redis_py.Redis, hands: Callable[[], None]
) -> None:
    """Others took the places of all in the moment of the click."""
    (board, seen) = panel
    redis.rpop("asynq:mail_default:pending", 5)
    in_a_minute(board)
    moved = rows(board)

    named(board, "Show row 3").click()
    until(board, lambda: bool(seen.cards), "no card")
    named(board, "Select row 1").value = True
    looked_at(board)

    assert moved == t(*range(5, 15))
    assert [card.id for card in seen.cards] == ["t02"]
    assert list(board._actions.ticked) == ["t00"]
    assert rows(board) == ["t00", "t01", "▸ t02", *t(*range(3, 10))]
    assert [named(board, f"Select row {n}").value for n in range(1, 11)] == [True] + [False] * 9
    named(board, "Select row 1").value = False
    assert board._actions.ticked == {}


def test_a_click_on_what_a_person_noticed_goes_there(
    panel: Opened, redis: redis_py.Redis, hands: Callable[[], None]
) -> None:
    (board, _) = panel
    redis.rpop("asynq:mail_default:pending", 5)
    in_a_minute(board)
    hands()

    named(board, "All on this page").value = True

    assert list(board._actions.ticked) == t(*range(5, 15))


def test_a_page_that_was_asked_for_is_meant_at_once(
    panel: Opened, hands: Callable[[], None]
) -> None:
    (board, _) = panel
    named(board, "Next").click()
    looked_at(board)

    named(board, "Select row 1").value = True

    assert list(board._actions.ticked) == ["t10"]


def test_a_click_that_waited_while_the_list_changed_does_nothing_and_says_so(
    panel: Opened, redis: redis_py.Redis, hands: Callable[[], None]
) -> None:
    """It waited until a cell ended that had begun before the change."""
    (board, seen) = panel
    hands()
    publisher = board.context.publisher
    redis.rpop("asynq:mail_default:pending", 5)
    in_a_minute(board)
    publisher._is_running = False
    publisher._began, publisher._ended = time.monotonic() - 3600, time.monotonic()

    for name in ("Select row 1", "All on this page"):
        named(board, name).value = True
        assert named(board, name).value
        looked_at(board)
        assert not named(board, name).value
    named(board, "Show row 1").click()

    assert board._actions.ticked == {}
    assert [each.partition(".")[0] for each in seen.said] == [CHANGED.rstrip(".")] * 3
    assert seen.cards == []


def act(panel: Tasks, seen: Seen, *names: str) -> str:
    """Clicks these; what was said of the last."""
    for name in names:
        looked_at(panel)
        n = len(seen.said)
        named(panel, name).click()
    until(panel, lambda: len(seen.said) > n, "nothing was said")
    return seen.said[-1]


def tick(panel: Tasks, *ids: str) -> None:
    for each in ids:
        named(panel, f"Select row {place(panel, each)}").value = True


def test_several_tasks_are_cancelled_run_again_and_deleted(
    panel: Opened, redis: redis_py.Redis
) -> None:
    (board, seen) = panel
    tick(board, *t(1, 2, 3))

    cancelled = act(board, seen, "Cancel")
    n_archived = redis.zcard("asynq:mail_default:archived")
    named(board, "State").value = State.ARCHIVED
    looked_at(board)
    tick(board, *t(1, 2))
    retried = act(board, seen, "Retry")
    next_to_run = redis.lrange("asynq:mail_default:pending", -2, -1)
    until(board, lambda: rows(board) == t(3), "the list is old")
    tick(board, *t(3))
    deleted = act(board, seen, "Delete", "Yes, delete")

    assert (cancelled, n_archived) == ("Cancelled 3 tasks.", 3)
    assert retried == "Next to run: 2 tasks."
    assert sorted(next_to_run) == [b"t01", b"t02"]
    assert deleted == "Deleted 1 task."
    assert not redis.exists("asynq:t:t03")


def test_a_scheduled_task_is_run_now(session: Session, redis: redis_py.Redis) -> None:
    later = session.enqueue("mail_default", {}, delay=3600)
    with opened(Tasks, session) as (board, seen):
        named(board, "State").value = State.SCHEDULED
        until(board, lambda: len(rows(board)) == 1, "not shown")
        tick(board, later.id)

        said = act(board, seen, "Run now")

        assert said == "Next to run: 1 task."
        assert redis.lrange("asynq:mail_default:pending", 0, -1) == [later.id.encode()]


def test_deleting_asks_and_keeping_deletes_nothing(panel: Opened, redis: redis_py.Redis) -> None:
    (board, _) = panel
    named(board, "All on this page").value = True
    looked_at(board)

    named(board, "Delete").click()
    asked = told(board)
    named(board, "Keep").click()

    assert "Delete 10 tasks for good?" in asked
    assert redis.llen("asynq:mail_default:pending") == 45
    assert "Yes, delete" not in names_of(board)


def test_what_cannot_be_done_is_said(panel: Opened, redis: redis_py.Redis) -> None:
    (board, seen) = panel
    assert is_pale(named(board, "Cancel"))
    assert act(board, seen, "Cancel").startswith("Tick some tasks: has")
    tick(board, *t(1, 2))
    redis.lrem("asynq:mail_default:pending", 1, "t01")
    redis.delete("asynq:t:t01")

    said = act(board, seen, "Run now")

    assert said.startswith("Next to run: 1 task. ")
    tick(board, *t(2))
    assert act(board, seen, "Retry").startswith("None of these can be")
    assert "t01" in said


def written(panel: Any) -> list[object]:
    """What is written to the page from now on."""
    found: list[object] = []
    for each in parts(panel.widget):
        for one in (each, each.layout):
            one.observe(lambda change: found.append(change["owner"]))
    return found


def test_a_page_that_changes_all_over_is_one_message_and_a_quiet_one_none(
    panel: Opened, redis: redis_py.Redis
) -> None:
    """However many rows there are, and fewer than before too."""
    (board, _) = panel
    controls = board._rows.widget.children
    found, seen = written(board), []

    for n in (0, 10, 31):
        redis.rpop("asynq:mail_default:pending", n)
        in_a_minute(board)
        seen.append((found.count(board._rows._told), len(found)))
        found.clear()

    assert [n for n, _ in seen] == [0, 1, 1]
    assert [n for _, n in seen[:2]] == [0, 3]  # and the caption, and how many pages there are
    assert board._rows.widget.children is controls


def test_controls_of_places_without_a_row_are_hidden_by_the_same_message(panel: Opened) -> None:
    (board, _) = panel
    named(board, "Page").value = 5
    looked_at(board)

    assert len(rows(board)) == 5
    assert " > :nth-child(n+12):not(:focus, :focus-within)" in board._rows._told.value
    assert board._rows.widget.children[11].description == "Select row 6"


def test_a_still_of_a_panel_that_nobody_opened_shows_the_first_page(
    session: Session, redis: redis_py.Redis
) -> None:
    push(redis, "t1")
    redis.sadd("asynq:queues", "mail_default")
    with opened(Tasks, session) as (board, _):
        unseen = Tasks(board.context)
        unseen.look()

        assert [line.split()[:3] for line in unseen.text().splitlines()[1:]] == [
            ["id", "state", "queue"],
            ["t1", "pending", "mail_default"],
        ]
        assert "1 to 1 of 1 pending task" in unseen.html()


def test_strangers_texts_are_text_in_every_panel(session: Session, redis: redis_py.Redis) -> None:
    clean = [text.encode("utf-8", "replace").decode() for text in HOSTILE]
    for text in clean:
        fields = {"type": text, "payload": json.dumps({text: [text]}), "error_msg": text}
        redis.hset(f"asynq:t:{text}", mapping={**fields, "enqueued_at": text})
        redis.zadd("asynq:mail_default:archived", {text: 1_000_000})
    redis.sadd("asynq:queues", "mail_default")
    url = session.webhooks.start()
    for text in clean[:10]:
        post(f"{url}/<b>&amp;%3Cimg%3E", json.dumps({"task_id": text, text: text}).encode(), {})

    with opened(Tasks, session) as (tasks, _):
        named(tasks, "State").value = State.ARCHIVED
        named(tasks, "Rows").value = 50
        until(tasks, lambda: len(rows(tasks)) == 50, "not shown")
        assert_shows_text_only(tasks)
        named(tasks, "Search").value = clean[5]
        until(tasks, lambda: tasks.list.is_known and bool(rows(tasks)), "not found")
        assert_shows_text_only(tasks)
    with opened(Echoes, session) as (echoes, _):
        until(echoes, lambda: len(rows(echoes)) == 10, "not shown")
        for label in rows(echoes):
            named(echoes, f"Show row {place(echoes, label)}").click()
            looked_at(echoes)
            assert_shows_text_only(echoes)
    with opened(Enqueue, session) as (enqueue, _):
        for text in clean:
            named(enqueue, "Queue").value = text
            named(enqueue, "Payload (JSON)").value = json.dumps({text: [text]})[:-1] + text
            looked_at(enqueue)
            assert_shows_text_only(enqueue)
