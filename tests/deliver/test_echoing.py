"""A session delivers to its own receiver, and hears of it."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from runqy_notebook import Session, task
from runqy_notebook.errors import UsageError
from runqy_notebook.wire.events import Event, Kind
from tests.waiting import wait_until


@pytest.fixture
def receiving(session: Session) -> Session:
    session.webhooks.start()
    return session


def echoes(heard: list[Event]) -> list[Event]:
    return [event for event in list(heard) if event.kind is Kind.ECHO]


def test_a_result_is_delivered_to_the_receiver_and_verified(receiving: Session) -> None:
    heard: list[Event] = []
    task(queue="mail")(lambda payload: {"n": payload["n"] + 1})
    receiving.start_worker("mail")
    receiving.listen(heard.append)

    handle = receiving.enqueue("mail", {"n": 1}, deliver_to="echo")

    wait_until(lambda: len(echoes(heard)) == 1, lambda: str(heard))
    (receipt,) = receiving.webhooks.receipts.newest()
    (event,) = echoes(heard)
    assert receipt.task_id == event.task_id == handle.id
    assert event.queue == "mail_default"
    assert receipt.value["result"] == {"n": 2}  # type: ignore[index]
    assert receiving.echoes()["task_id"].tolist() == [handle.id]


def test_what_is_signed_with_the_receivers_secret_is_verified(session: Session) -> None:
    session.webhooks.start(require_signature=True)
    task(queue="mail")(lambda payload: 1)
    session.start_worker("mail")

    session.enqueue("mail", {}, deliver_to="echo")

    wait_until(lambda: bool(session.webhooks.receipts.newest()), "nothing arrived")
    assert session.webhooks.receipts.newest()[0].verdict.value == "verified"


def test_a_handler_that_delivers_itself_is_echoed_too(receiving: Session) -> None:
    heard: list[Event] = []
    receiving.listen(heard.append)

    def handle(payload: dict[str, Any]) -> None:
        body = json.dumps({"task_id": payload["task_id"], "result": 1}).encode()
        request = urllib.request.Request(
            payload["webhook_url"], body, {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=10).close()

    task(queue="mail")(handle)
    receiving.start_worker("mail")

    handle_of = receiving.enqueue("mail", {}, webhook="echo")

    handle_of.result(timeout=10)
    wait_until(lambda: len(echoes(heard)) == 1, lambda: str(heard))
    (event,) = echoes(heard)
    assert event.task_id == handle_of.id
    assert event.note.startswith("unsigned, ")
    assert event.lines[0].startswith("POST / from 127.0.0.1")
    assert '  "result": 1' in event.lines


def test_another_sessions_worker_delivers_to_the_receiver_of_who_asked(
    make_session: Callable[..., Session],
) -> None:
    task(queue="mail")(lambda payload: 1)
    producer, consumer = make_session(), make_session()
    producer.webhooks.start()
    consumer.start_worker("mail")

    handle = producer.enqueue("mail", {}, deliver_to="echo")

    wait_until(lambda: bool(producer.webhooks.receipts.newest()), "nothing arrived")
    assert producer.webhooks.receipts.newest()[0].task_id == handle.id


def test_without_a_receiver_echo_says_how_to_start_one(session: Session) -> None:
    with pytest.raises(UsageError, match="webhook start"):
        session.enqueue("mail", {}, deliver_to="echo")
