"""Finished cards hear of webhooks only, and only the newest of them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from runqy_notebook.events import Events
from runqy_notebook.ui.resting import MOST_RESTING, Resting
from runqy_notebook.wire.events import Event, Kind


class Card:
    """What cards do with events: any card will do."""

    def __init__(self) -> None:
        self.taken: list[Kind] = []

    def take(self, event: Event) -> None:
        self.taken.append(event.kind)


@pytest.fixture
def hub() -> Events:
    return Events()


@pytest.fixture
def resting(hub: Events) -> Any:
    return Resting(SimpleNamespace(events=hub))  # type: ignore[arg-type]


@pytest.fixture
def short_turns() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_a_card_at_rest_takes_webhooks_and_nothing_else_and_each_once(
    hub: Events, resting: Any
) -> None:
    card = Card()
    resting.add(card, ["t1"], hub.subscribe(card.take, ids=["t1"]))

    for kind in (Kind.STARTED, Kind.ECHO, Kind.DELIVERED):
        hub.publish(Event(kind, "t1", "mail_default", 1.0))

    assert card.taken == [Kind.ECHO, Kind.DELIVERED]


def test_the_oldest_cards_hear_nothing_any_more_when_there_are_many(
    hub: Events, resting: Any
) -> None:
    cards = [Card() for _ in range(MOST_RESTING + 1)]
    for card in cards:
        resting.add(card, ["t1"], hub.subscribe(card.take, ids=["t1"]))

    hub.publish(Event(Kind.ECHO, "t1", "mail_default", 1.0))

    assert [len(card.taken) for card in cards] == [0] + [1] * MOST_RESTING
    resting.leave()
    assert hub.subscriptions == ()


@pytest.mark.usefixtures("short_turns")
def test_cards_come_to_rest_while_others_are_shown_again(hub: Events, resting: Any) -> None:
    """The watch brings cards to rest, a cell shows them again."""
    faults: list[BaseException] = []
    for _ in range(MOST_RESTING - 5):
        card = Card()
        resting.add(card, ["t1"], hub.subscribe(card.take, ids=["t1"]))

    def come_and_go() -> None:
        try:
            for _ in range(1000):
                card = Card()
                resting.add(card, ["t1"], hub.subscribe(card.take, ids=["t1"]))
                resting.forget(card)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert faults == []
    assert len(hub.subscriptions) == MOST_RESTING - 5
