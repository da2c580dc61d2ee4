"""The rows of the outbox are written in the same script as the acknowledgement."""

import json
from dataclasses import replace

import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.wire.deliveries import MOST_WAITING, Address, Parcel
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Crashed
from tests.broking import archived, broker_of, claim, done, enqueue, exchange, retried, settle
from tests.deliver.outboxes import collect, outbox_of

PARCEL = Parcel(
    (Address("orders", "name:orders", 0.0, "msg_1"), Address("other", "name:other", 0.0, "msg_2")),
    b'{"result": "a\\nb"}',
    "t1",
    "mail_default",
    "completed",
)


def claimed(broker: Broker) -> Task:
    enqueue(broker, "t1")
    (task,) = claim(broker)
    return task


def test_a_completed_task_leaves_a_row_for_each_destination(redis: redis_py.Redis) -> None:
    broker, outbox = broker_of(redis), outbox_of(redis)

    assert settle(broker, replace(done(claimed(broker)), parcel=PARCEL)) == ["OK"]

    row = collect(outbox)
    assert row is not None
    assert (row.id, row.to, row.task_id, row.queue) == ("msg_1", "orders", "t1", "mail_default")
    assert json.loads(row.body) == {"result": "a\nb"}
    assert collect(outbox, "name:other") is not None


def test_an_archived_task_leaves_rows_too(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)

    settle(broker, replace(archived(claimed(broker)), parcel=PARCEL))

    assert collect(outbox_of(redis)) is not None


def test_a_retry_leaves_none(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)

    settle(broker, retried(claimed(broker)))

    assert outbox_of(redis).records(10) == []


def test_a_crash_leaves_rows_only_when_it_was_the_last_one(redis: redis_py.Redis) -> None:
    broker, outbox = broker_of(redis), outbox_of(redis)
    enqueue(broker, "t1")
    for crash in (1, 2, 3):
        (task,) = claim(broker)
        settle(broker, Crashed(task, "it died", PARCEL))

        assert len(outbox.records(10)) == (2 if crash == 3 else 0)


def test_an_outcome_that_comes_too_late_leaves_none(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    task = claimed(broker)
    late = task._replace(token=task.token + b"0")

    assert settle(broker, replace(done(late), parcel=PARCEL)) == ["FENCED"]

    assert outbox_of(redis).records(10) == []


def test_an_exchange_repeated_after_a_lost_reply_writes_its_rows_once(
    redis: redis_py.Redis,
) -> None:
    broker, outbox = broker_of(redis), outbox_of(redis)
    asked = exchange(replace(done(claimed(broker)), parcel=PARCEL))

    for again in (False, True, True):
        assert broker.settle(asked, lease=15.0, again=again).answers == ["OK"]

    assert len(outbox.records(10)) == 2


def test_somebody_elses_key_in_place_of_the_outbox_does_not_keep_a_task_from_ending(
    redis: redis_py.Redis,
) -> None:
    broker = broker_of(redis)
    redis.set("asynq:nb:outbox", "x")

    assert settle(broker, replace(done(claimed(broker)), parcel=PARCEL)) == ["OK"]

    assert redis.hget("asynq:t:t1", "state") == b"completed"


def test_somebody_elses_key_in_place_of_a_row_does_not_keep_a_task_from_ending(
    redis: redis_py.Redis,
) -> None:
    broker = broker_of(redis)
    redis.set("asynq:nb:outbox:row:oldest", "x")
    others = {f"other{n}": 4e9 for n in range(MOST_WAITING - 1)}
    redis.zadd("asynq:nb:outbox:due:name:orders", {"oldest": 1.0, **others})

    assert settle(broker, replace(done(claimed(broker)), parcel=PARCEL)) == ["OK"]

    assert redis.hget("asynq:t:t1", "state") == b"completed"
    assert len(outbox_of(redis).records(9)) == 2


def test_rows_are_written_while_the_memory_is_full(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    task = claimed(broker)
    redis.config_set("maxmemory", "1")
    try:
        assert settle(broker, replace(done(task), parcel=PARCEL)) == ["OK"]
    finally:
        redis.config_set("maxmemory", "0")

    assert collect(outbox_of(redis)) is not None


def test_an_id_that_is_no_utf8_is_delivered_as_well_as_can_be(redis: redis_py.Redis) -> None:
    broker, outbox = broker_of(redis), outbox_of(redis)
    parcel = replace(PARCEL, task_id="t\udcff")

    settle(broker, replace(done(claimed(broker)), parcel=parcel))

    row = collect(outbox)
    assert row is not None
    assert row.task_id == "t?"
