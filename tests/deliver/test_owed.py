"""Deliveries that no worker could write down: tasks lost too often, and cancelled ones."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.broker import scripts
from runqy_notebook.broker.guardian import PROVEN
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.wire.deliveries import DeliveryState
from runqy_notebook.wire.outcomes import Archived, Completed
from tests.broking import BASE, broker_of, claim, end_lease, field, push, settle, sweep
from tests.deliver.outboxes import collect, outbox_of, post, record
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def told(redis: redis_py.Redis) -> list[dict[str, object]]:
    """The bodies of the rows in the outbox."""
    keys = sorted(redis.keys("asynq:nb:outbox:row:*"))
    return [json.loads(redis.hget(key, "body") or b"") for key in keys]


def test_a_task_that_killed_its_worker_too_often_is_delivered_as_archived(
    redis: redis_py.Redis,
) -> None:
    broker = broker_of(redis, crash_limit=1)
    push(redis, "a", deliver="orders https://example.com/x ftp://no a/b! ", retry="2")
    (held,) = claim(broker)
    terms = broker.retention.terms(broker.layout)
    keys = ["asynq:nb:trimmed", "asynq:nb:killers", "asynq:nb:outbox", BASE]
    news = broker.channels.news("")
    args = ["asynq:t:", 7200, 1000, 1, news, terms, 0, 1, held.id, held.token, PROVEN]

    scripts.LOSE(redis, keys, args)

    rows = outbox_of(redis).records(9)
    assert sorted(row.to for row in rows) == ["https://example.com/x", "orders"]
    for body in told(redis):
        at = body.pop("completed_at")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(at))
        assert body == {
            "task_id": "a",
            "queue": "mail_default",
            "status": "archived",
            "error": "killed its worker 1 times",
            "attempt": 3,
        }


def test_a_task_that_was_lost_too_often_is_delivered_by_the_sweep_that_archives_it(
    redis: redis_py.Redis,
) -> None:
    broker = broker_of(redis, crash_limit=1)
    push(redis, "a", deliver="orders", losses="9")
    claim(broker)
    end_lease(redis, "a")

    for _ in range(2):
        sweep(broker)

    (body,) = told(redis)
    assert (body["status"], body["error"]) == ("archived", "lost with its worker 10 times")


def test_a_task_is_delivered_to_ten_places_at_most(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "a", deliver=" ".join(f"place{n}" for n in range(12)))

    settle(broker, Archived(claim(broker)[0], "no"))

    assert sorted(row.to for row in outbox_of(redis).records(99)) == [
        f"place{n}" for n in range(10)
    ]


def test_a_task_that_is_cancelled_before_it_ran_is_delivered(
    session: Session, redis: redis_py.Redis, receiver: Receiver
) -> None:
    session.destination("orders", receiver.url, allow_private=True)
    waits = session.enqueue("nobody", {}, deliver_to="orders", id="waits")

    waits.cancel()

    wait_until(lambda: len(receiver.requests) == 1, "the cancelled task was not delivered")
    assert json.loads(receiver.requests[0].body)["error"] == "cancelled"


def test_what_was_cancelled_while_it_ran_is_delivered_once(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, "a", deliver="orders")
    (held,) = claim(broker)
    redis.hset("asynq:t:a", "cancel", "1")

    assert settle(broker, Completed(held, 1)) == ["CANCELLED"]

    (body,) = told(redis)
    assert (body["status"], body["error"]) == ("archived", "cancelled")


def test_it_goes_to_urls_in_the_lane_of_the_process_that_archived_it(
    redis: redis_py.Redis,
) -> None:
    """So nobody without that secret sends it unsigned."""
    broker = broker_of(redis, url_lane="url:abc")
    push(redis, "a", deliver="https://example.com/x")
    (held,) = claim(broker)

    settle(broker, Archived(held, "no"))

    assert collect(outbox_of(redis), "url") is None
    row = collect(outbox_of(redis), "url:abc")
    assert row is not None
    assert row.to == "https://example.com/x"


def test_what_is_not_utf8_becomes_json_that_can_be_read(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    push(redis, b"\xff\xc3\xa9", deliver="orders")
    (held,) = claim(broker)

    settle(broker, Archived(held, 'no "é€😀" \n \x01'))

    (body,) = told(redis)
    assert body["task_id"] == "?"
    assert body["error"] == 'no "é€😀" \n \x01'
    assert field(redis, "x", "state") is None


@pytest.mark.parametrize("key", ["asynq:nb:outbox", "asynq:nb:outbox:echoes"])
def test_an_outbox_of_a_wrong_type_costs_the_delivery_not_the_task(
    redis: redis_py.Redis, key: str
) -> None:
    broker = broker_of(redis)
    push(redis, "a", deliver="orders")
    redis.set(key, "stranger's", ex=60)
    (held,) = claim(broker)

    assert settle(broker, Archived(held, "no")) == ["OK"]

    assert field(redis, "a", "state") == b"archived"


def test_what_waits_for_a_receiver_ends_when_that_stops(
    session: Session, redis: redis_py.Redis
) -> None:
    session.webhooks.start()
    handle = session.enqueue("nobody", {}, deliver_to="echo")
    name = (field(redis, handle.id, "deliver") or b"").decode()
    outbox = outbox_of(redis)
    post(outbox, name, id="msg_9", wait=60)

    session.webhooks.stop()

    found = record(outbox, "msg_9")
    assert found.state is DeliveryState.FAILED
    assert "receiver is gone" in (found.error or "")
    assert redis.zcard("asynq:nb:outbox:echoes") == 0


def test_however_much_waits_for_a_receiver_ends_when_that_stops(redis: redis_py.Redis) -> None:
    outbox, lane = outbox_of(redis), "name:echo-0123456789abcdef"
    for n in range(250):
        post(outbox, "echo-0123456789abcdef", id=f"msg_{n}", wait=60)

    outbox.leave(lane)

    assert {each.state for each in outbox.records(999)} == {DeliveryState.FAILED}


@pytest.mark.parametrize("name", [":done", ":due:name:echo-1"])
def test_a_strangers_key_in_the_place_of_one_of_ours_does_not_keep_a_receiver_from_stopping(
    redis: redis_py.Redis, name: str
) -> None:
    outbox = outbox_of(redis)
    post(outbox, "echo-1", wait=60)
    redis.delete("asynq:nb:outbox" + name)
    redis.set("asynq:nb:outbox" + name, "text")

    outbox.leave("name:echo-1")

    assert record(outbox).state is DeliveryState.WAITING


def test_a_strangers_key_in_the_place_of_a_row_does_not_keep_a_receiver_from_stopping(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    for n in (1, 2):
        post(outbox, "echo-1", id=f"msg_{n}", wait=60)
    redis.set("asynq:nb:outbox:row:msg_1", "text")

    outbox.leave("name:echo-1")

    assert record(outbox, "msg_2").state is DeliveryState.FAILED


def test_what_waits_for_the_receiver_of_a_dead_kernel_ends_after_an_hour(
    redis: redis_py.Redis,
) -> None:
    outbox, lane = outbox_of(redis), "name:echo-0123456789abcdef"
    for n in range(250):
        post(outbox, "echo-0123456789abcdef", id=f"msg_{n}", wait=60)
    post(outbox, "orders", id="msg_orders", wait=60)
    (seen,) = [score for _, score in redis.zrange("asynq:nb:outbox:echoes", 0, -1, withscores=True)]

    collect(outbox, "name:others")
    waited = [record(outbox, f"msg_{n}").state for n in (0, 249)]
    redis.zadd("asynq:nb:outbox:echoes", {lane: seen - 3_601})
    collect(outbox, "name:others")
    collect(outbox, "name:others")

    assert waited == [DeliveryState.WAITING] * 2
    states = {each.state for each in outbox.records(999) if each.to != "orders"}
    assert states == {DeliveryState.FAILED}
    assert record(outbox, "msg_orders").state is DeliveryState.WAITING
    assert redis.zcard("asynq:nb:outbox:echoes") == 0


def test_a_kernel_that_looks_for_its_deliveries_keeps_them(redis: redis_py.Redis) -> None:
    outbox, lane = outbox_of(redis), "name:echo-0123456789abcdef"
    post(outbox, "echo-0123456789abcdef", id="msg_1", wait=60)
    (seen,) = [score for _, score in redis.zrange("asynq:nb:outbox:echoes", 0, -1, withscores=True)]
    redis.zadd("asynq:nb:outbox:echoes", {lane: seen - 3_000})

    collect(outbox, lane)

    assert (redis.zscore("asynq:nb:outbox:echoes", lane) or 0) >= seen
    assert record(outbox).state is DeliveryState.WAITING


def test_a_secret_of_the_session_signs_what_it_archives(session: Session) -> None:
    session.configure({"webhook_secret": Secret.new().reveal()})
    task(queue="mail")(lambda payload: 1)

    assert session._broker.retention.url_lane.startswith("url:")
