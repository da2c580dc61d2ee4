"""Where a result lies is told with an address that is good when it is told."""

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.deliver.keys import filled, is_place_of
from runqy_notebook.deliver.sink import Attempt, Delivered, Limits, Message
from runqy_notebook.wire.deliveries import Address, DeliveryState, Parcel
from tests.deliver.outboxes import collect, outbox_of
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until

OUTBOX = "asynq:nb:outbox"


class Locker:
    """A sink of files whose addresses are good once."""

    suffix, largest = "", 1_000_000

    def __init__(self, place: str = "7") -> None:
        self._place = place
        self._numbers = itertools.count()

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        return Delivered(None, 0.0, f"locker://{self._place}?first", self._place)

    def address(self, place: str, seconds: float) -> str:
        if place != self._place:
            raise KeyError(place)
        return f"locker://{place}?{next(self._numbers)}"

    def close(self) -> None:
        pass


Told = Callable[[Any], list[str]]


@pytest.fixture
def told(make_session: Any, redis: redis_py.Redis) -> Told:
    """The addresses that a webhook had in three attempts; `change` is made before the second."""

    def run(change: Callable[[Session, str], object]) -> list[str]:
        session = make_session(deliver_schedule="0s" + " 200ms" * 90)
        with Receiver() as receiver:
            receiver.answers(503)
            session.destination("notice", receiver.url, allow_private=True)
            session._directory.add("locker", Locker())

            @task(deliver_to=["notice", "locker"])
            def handler(payload: dict[str, Any]) -> bytes:
                return b"x"

            session.start_worker("mail")
            session.enqueue("mail", {})
            wait_until(lambda: receiver.requests, "an attempt")
            rows = redis.scan_iter(f"{OUTBOX}:row:*")
            change(session, next(row for row in rows if redis.hget(row, "to") == b"notice"))
            seen = len(receiver.requests)
            wait_until(lambda: len(receiver.requests) > seen + 1, "two more attempts")
            receiver.answers(204)
            wait_until(lambda: set(session.deliveries()["state"]) == {"delivered"}, "the end")
            bodies = [json.loads(each.body) for each in receiver.requests]
        return [body["result_url"] for body in bodies]

    return run


def test_each_attempt_has_a_fresh_address(told: Told) -> None:
    addresses = told(lambda session, row: None)

    assert addresses == [f"locker://7?{n}" for n in range(len(addresses))]


def test_who_does_not_know_the_place_tells_the_address_of_the_first_day(told: Told) -> None:
    def forget(session: Session, row: str) -> None:
        session._directory._known.by_name.pop("locker")

    assert told(forget)[-1] == "locker://7?first"


def test_a_place_that_is_none_is_not_asked_for_twice(told: Told, redis: redis_py.Redis) -> None:
    addresses = told(lambda session, row: redis.hset(row, "result_at", "locker/8"))

    assert addresses[-1] == "locker://7?first"


def test_who_waits_for_two_files_hears_of_the_one_that_was_first(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    files = [
        Address("a", "name:a", 0.0, "msg_a", holds=("msg_c",)),
        Address("b", "name:b", 0.0, "msg_b", holds=("msg_c",)),
    ]
    notice = Address("c", "name:c", 0.0, "msg_c", held=2)
    outbox.post(Parcel((*files, notice), b"{}", "t1", "mail_default", "completed"))

    for name, place in (("b", ""), ("a", "a/1")):
        row = collect(outbox, f"name:{name}")
        assert row is not None
        url = f"https://{name}"
        outbox.attempted(row, DeliveryState.DELIVERED, result_url=url, result_at=place)

    row = collect(outbox, "name:c")
    assert row is not None
    assert (row.result_url, row.result_at) == ("https://b", "")


@pytest.mark.parametrize("task_id", ["t1", "../../x", "a/b", "", "ü" * 200, "."])
def test_a_place_is_one_of_its_template(task_id: str) -> None:
    template = "bucket/in.side/{queue}/{task_id}.json"

    place = filled(template, {"task_id": task_id, "queue": "q_1"}, "msg_1")

    assert is_place_of(template, place)
    assert not is_place_of("bucket/outside/{queue}/{task_id}.json", place)
    assert not is_place_of(template, place.replace(".side", "xside"))
    assert not is_place_of(template, f"{place}\n")


@pytest.mark.parametrize("place", ["bucket/../x.json", "bucket/a/b.json", "bucket/.json", "x.json"])
def test_another_place_is_none(place: str) -> None:
    assert not is_place_of("bucket/{task_id}.json", place)


def test_a_field_that_is_a_folder_leads_nowhere() -> None:
    assert not is_place_of("bucket/{queue}/x", "bucket/../x")
