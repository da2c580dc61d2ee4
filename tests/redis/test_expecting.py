"""What a session enqueues its own idle worker claims before the server tells of it."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import Exchange, Settled
from runqy_notebook.broker.waiter import Waiter
from runqy_notebook.errors import TaskConflictError
from runqy_notebook.worker import idle as idle_module
from runqy_notebook.worker.settling import Settler
from tests.broking import push
from tests.waiting import wait_until


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each claim of an idle slot gave."""
    found: list[int] = []
    settle = Broker.settle

    def told(self: Broker, exchange: Exchange, **how: Any) -> Settled:
        settled = settle(self, exchange, **how)
        if exchange.want and not exchange.outcomes:
            found.append(len(settled.tasks))
        return settled

    monkeypatch.setattr(Broker, "settle", told)
    return found


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody looks for tasks who was not told."""
    monkeypatch.setattr(idle_module, "LONGEST", 600.0)


@pytest.fixture
def echoing(session: Session) -> Session:
    """A session whose worker waits for tasks of the queue `mail`."""

    @task(queue="mail")
    def echo(payload: dict[str, Any]) -> dict[str, Any]:
        return dict(payload)

    session.start_worker("mail")
    assert session.enqueue("mail", {"n": 0}).result(10) == {"n": 0}
    return session


@pytest.fixture
def outright(monkeypatch: pytest.MonkeyPatch) -> None:
    """No claim stands behind a wait."""
    monkeypatch.setattr(Settler, "ahead", lambda *args: None)


def is_watching(session: Session) -> bool:
    assert session.worker is not None
    return "mail_default" in session.worker._idle._watched


@pytest.mark.usefixtures("outright")
def test_it_is_claimed_though_the_server_never_tells(
    echoing: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    hear = Waiter._has_task

    def deaf(self: Waiter, queue: str) -> bool:
        hear(self, queue)
        return False

    monkeypatch.setattr(Waiter, "_has_task", deaf)
    wait_until(lambda: is_watching(echoing), "nobody waits")

    for number in range(3):
        assert echoing.enqueue("mail", {"n": number}).result(10) == {"n": number}
        wait_until(lambda: is_watching(echoing), "nobody waits")


def test_what_the_server_claims_for_it_is_not_asked_for(
    echoing: Session, claims: list[int]
) -> None:
    assert echoing.worker is not None
    waiter = echoing.worker._idle._waiter
    for number in range(20):
        wait_until(lambda: waiter.is_claiming("mail_default"), "no claim stands")
        assert echoing.enqueue("mail", {"n": number}).result(10) == {"n": number}

    assert claims == []


@pytest.mark.usefixtures("outright")
def test_the_servers_word_of_it_that_comes_late_is_no_reason_to_claim_again(
    echoing: Session, claims: list[int]
) -> None:
    for number in range(20):
        wait_until(lambda: is_watching(echoing), "nobody waits")
        echoing.enqueue("mail", {"n": number}).result(10)

    assert sum(claims) == 20
    assert claims.count(0) < 10  # each one that the server told of again would be 20


def test_what_is_for_later_or_for_other_queues_wakes_nobody(
    echoing: Session, claims: list[int]
) -> None:
    wait_until(lambda: is_watching(echoing), "nobody waits")

    echoing.enqueue("mail", {}, delay="1h")
    echoing.enqueue("letters", {})

    assert is_watching(echoing)
    assert claims == []


def test_what_others_push_is_told_by_the_server_as_before(
    echoing: Session, redis: redis_py.Redis
) -> None:
    for number in range(3):
        wait_until(lambda: is_watching(echoing), "nobody waits")
        push(redis, f"t{number}")
        wait_until(lambda n=number: redis.hget(f"asynq:t:t{n}", "state") == b"completed", "not run")


def test_without_a_worker_nobody_is_told(session: Session) -> None:
    assert session.enqueue("mail", {}).state == "pending"


def test_an_enqueue_that_fails_leaves_the_worker_waiting(
    echoing: Session, redis: redis_py.Redis
) -> None:
    wait_until(lambda: is_watching(echoing), "nobody waits")
    redis.hset("asynq:t:mine", "state", "active")

    with pytest.raises(TaskConflictError, match="mine"):
        echoing.enqueue("mail", {}, id="mine")

    assert echoing.enqueue("mail", {"n": 1}).result(10) == {"n": 1}
