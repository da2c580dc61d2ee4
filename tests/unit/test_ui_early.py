"""What is heard before there is a card: nothing lost, nothing told twice."""

from __future__ import annotations

from runqy_notebook.events import Events
from runqy_notebook.ui.early import Early
from runqy_notebook.wire.events import Event, Kind


def event(number: int, task_id: str = "t1", queue: str = "mail_default") -> Event:
    return Event(Kind.ECHO, task_id, queue, float(number))


def test_a_card_takes_what_came_before_it_and_what_comes_after_in_order() -> None:
    hub = Events()
    early = Early(hub, "mail")
    taken: list[float] = []

    hub.publish(event(1))
    hub.publish(event(2, task_id="another"))
    early.give(lambda told: taken.append(told.at), ["mail"], ["t1"])
    hub.publish(event(3))
    hub.publish(event(4, task_id="another"))
    early.end()
    hub.publish(event(5))

    assert taken == [1, 3, 5]


def test_an_event_on_its_way_while_the_card_is_made_is_not_lost() -> None:
    """The hub read its listeners before the card was one of them, and calls them after."""
    hub = Events()
    taken: list[float] = []

    def make_the_card(told: Event) -> None:
        hub.unsubscribe(before)
        early.give(lambda told: taken.append(told.at), ["mail"], ["t1"])
        early.end()

    before = hub.subscribe(make_the_card)
    early = Early(hub, "mail")

    hub.publish(event(1))
    assert taken == [1]
    hub.publish(event(2))
    assert taken == [1, 2]


def test_what_happens_to_the_queue_itself_is_told_too() -> None:
    hub = Events()
    early = Early(hub, "mail")
    taken: list[Kind] = []

    early.give(lambda told: taken.append(told.kind), ["mail_default"], ["t1"])
    hub.publish(Event(Kind.PAUSED, "", "mail_default", 1.0))
    hub.publish(Event(Kind.PAUSED, "", "other_default", 1.0))

    assert taken == [Kind.PAUSED]


def test_what_a_card_has_taken_is_not_kept_as_long_as_the_card() -> None:
    hub = Events()
    early = Early(hub, "mail")
    hub.publish(event(1))
    hub.publish(event(2, task_id="another"))

    early.give(lambda told: None, ["mail"], ["t1"])
    hub.publish(event(3))

    assert not early.has_heard


def test_where_no_card_is_made_nothing_is_heard_any_more() -> None:
    hub = Events()
    early = Early(hub, "mail")

    hub.publish(event(1))
    assert early.knows_of({"t1"})
    assert not early.knows_of({"t2"})
    early.end()

    assert hub.subscriptions == ()
