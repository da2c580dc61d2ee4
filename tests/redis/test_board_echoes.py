"""The Echoes panel with a real receiver: what arrives, older ones, and sending again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runqy_notebook.session import Session
from runqy_notebook.ui.board.echoes import Echoes
from tests.boarding import Seen, is_pale, looked_at, named, names_of, opened, rows, told, until
from tests.echo.senders import post

Opened = tuple[Echoes, Seen]


@pytest.fixture
def panel(session: Session) -> Iterator[Opened]:
    with opened(Echoes, session) as made:
        yield made


def click(panel: Echoes, seen: Seen, name: str) -> str:
    n = len(seen.said)
    named(panel, name).click()
    until(panel, lambda: len(seen.said) > n, "nothing was said")
    return seen.said[-1]


def send(session: Session, **body: Any) -> None:
    assert session.webhooks.url
    post(session.webhooks.url, json.dumps(body).encode(), {})


def test_the_receiver_is_started_and_stopped(panel: Opened, session: Session) -> None:
    (board, seen) = panel
    before = told(board)

    started = click(board, seen, "Start receiver")
    url = session.webhooks.url
    looked_at(board)
    during, names = told(board), names_of(board)
    stopped = click(board, seen, "Stop receiver")

    assert "No receiver is running." in before
    assert url
    assert url in started
    assert url in during
    assert "Start receiver" not in names
    assert "stopped" in stopped
    assert session.webhooks.url is None


def test_webhooks_show_as_they_arrive_the_newest_first(panel: Opened, session: Session) -> None:
    (board, seen) = panel
    click(board, seen, "Start receiver")

    for n in range(3):
        send(session, task_id=f"t{n}", n=n)
    until(board, lambda: len(rows(board)) == 3, "not shown")

    assert rows(board) == ["w3", "w2", "w1"]
    assert "3 webhooks arrived" in told(board)
    assert "unsigned" in told(board)
    assert [line.split()[0] for line in board.text().splitlines()] == ["id", "w3", "w2", "w1"]
    assert "w2" in board.html()


def test_older_ones_hold_still_while_new_ones_arrive(panel: Opened, session: Session) -> None:
    (board, seen) = panel
    click(board, seen, "Start receiver")
    for n in range(25):
        send(session, n=n)
    until(board, lambda: rows(board)[:1] == ["w25"], "not shown")

    named(board, "Older").click()
    looked_at(board)
    older = rows(board)
    send(session, n=25)
    until(board, lambda: "26 webhooks arrived" in told(board), "not counted")
    held = rows(board)
    named(board, "Newer").click()
    named(board, "Newer").click()
    looked_at(board)

    assert older == held == [f"w{n}" for n in range(15, 5, -1)]
    assert rows(board)[0] == "w26"
    assert is_pale(named(board, "Newer"))


def test_a_receipt_is_looked_at_and_sent_again(panel: Opened, session: Session) -> None:
    (board, seen) = panel
    click(board, seen, "Start receiver")
    send(session, task_id="t1", words="<b>bold</b>")
    until(board, lambda: rows(board) == ["w1"], "not shown")

    named(board, "Show row 1").click()
    looked_at(board)
    detail = told(board)
    answered = click(board, seen, "Replay")
    until(board, lambda: rows(board) == ["w2", "▸ w1"], "the copy did not arrive")
    named(board, "Send to").value = "no url"
    refused = click(board, seen, "Replay")

    assert "&lt;b&gt;bold&lt;/b&gt;" in detail
    assert "Content-Length" in detail
    assert answered.startswith("Answered 204 after")
    assert "http:// or https:// URL" in refused


def test_without_a_receiver_a_replay_says_what_to_do(panel: Opened, session: Session) -> None:
    (board, seen) = panel
    click(board, seen, "Start receiver")
    send(session, n=1)
    until(board, lambda: rows(board) == ["w1"], "not shown")
    named(board, "Show row 1").click()
    looked_at(board)
    click(board, seen, "Stop receiver")

    assert click(board, seen, "Replay").startswith("No receiver is running")
