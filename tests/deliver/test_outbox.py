import json
from dataclasses import replace

import fakeredis
import pytest
import redis as redis_py

from runqy_notebook.broker import scripts
from runqy_notebook.broker.channels import Channels
from runqy_notebook.broker.outbox import Kept, Outbox
from runqy_notebook.wire.deliveries import MOST_WAITING, Address, DeliveryState, Parcel
from runqy_notebook.wire.layout import DOCUMENTED
from tests.deliver.outboxes import collect, outbox_of, post, record
from tests.waiting import wait_until

OUTBOX = "asynq:nb:outbox"


def test_a_row_is_collected_once_when_it_is_due(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    post(outbox, id="msg_2", wait=60)

    row = collect(outbox)

    assert row is not None
    assert (row.id, row.to, row.body, row.task_id, row.made) == (
        "msg_1",
        "orders",
        b'{"n": 1}',
        "t1",
        0,
    )
    assert collect(outbox) is None
    assert record(outbox).state is DeliveryState.SENDING


def test_the_only_row_of_a_lane_does_not_live_for_ever_once_it_is_collected(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    post(outbox)

    assert collect(outbox)

    assert redis.ttl(f"{OUTBOX}:due:name:orders") > 0


def test_the_next_due_time_is_told(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox, wait=60)

    row, until = outbox.collect(["name:orders"], "t", lease=1, most=2, busy=[])
    nothing, never = outbox.collect(["name:other"], "t", lease=1, most=2, busy=[])

    assert row is None
    assert nothing is None
    assert until is not None
    assert 50 < until <= 60
    assert never is None


def test_a_row_is_written_once_however_often_it_is_posted(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox, body=b"1")
    post(outbox, body=b"2")

    row = collect(outbox)

    assert row is not None
    assert row.body == b"1"
    assert len(outbox.records(10)) == 1


def test_a_session_takes_only_what_it_can_deliver(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox, "orders")
    post(outbox, "https://hooks.example/", id="msg_2", lane="url:0123")

    assert collect(outbox, "url", "name:others", "url:4567") is None
    assert collect(outbox, "url:0123") is not None


def test_an_attempt_counts_only_for_who_holds_the_lease(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    late = collect(outbox, lease=0.05)
    taken = []
    wait_until(lambda: taken.append(collect(outbox)) or taken[-1], "the lease should end")

    assert late is not None
    assert taken[-1] is not None
    assert not outbox.attempted(late, DeliveryState.DELIVERED)
    assert record(outbox).state is DeliveryState.SENDING
    assert outbox.attempted(taken[-1], DeliveryState.DELIVERED, answer=204)
    assert record(outbox).state is DeliveryState.DELIVERED
    assert record(outbox).attempts == 1
    assert not outbox.attempted(taken[-1], DeliveryState.FAILED)


def test_a_failed_attempt_is_written_down_and_comes_again(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    row = collect(outbox)
    assert row is not None

    outbox.attempted(row, DeliveryState.WAITING, wait=0.0, answer=503, error="answered 503", took=2)

    held = record(outbox)
    assert (held.state, held.attempts, held.answer) == (DeliveryState.WAITING, 1, 503)
    assert (held.error, held.seconds) == ("answered 503", 2.0)
    again = collect(outbox)
    assert again is not None
    assert (again.id, again.made) == ("msg_1", 1)


def test_a_destination_that_is_gone_gets_nothing_more_until_somebody_asks(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    for n in (1, 2):
        post(outbox, id=f"msg_{n}")
    row = collect(outbox)
    assert row is not None
    outbox.attempted(row, DeliveryState.GONE, answer=410, error="answered 410")

    assert collect(outbox) is None
    assert record(outbox, "msg_2").state is DeliveryState.GONE

    assert outbox.redeliver("msg_2") == "OK"
    again = collect(outbox)
    assert again is not None
    assert (again.id, again.made) == ("msg_2", 0)


def test_what_can_be_sent_again_is_said(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox)

    assert outbox.redeliver("msg_0") == "UNKNOWN"
    row = collect(outbox)
    assert row is not None
    assert outbox.redeliver("msg_1") == "SENDING"
    outbox.attempted(row, DeliveryState.FAILED, error="no")
    assert outbox.redeliver("msg_1") == "OK"
    row = collect(outbox)
    assert row is not None
    outbox.attempted(row, DeliveryState.DELIVERED, answer=200)
    assert outbox.redeliver("msg_1") == "DELIVERED"


def test_what_is_to_be_sent_again_is_as_if_it_had_never_ended(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis, ttl=3600)
    row_key, due = f"{OUTBOX}:row:msg_1", f"{OUTBOX}:due:name:orders"
    post(outbox)
    post(outbox, id="msg_2", wait=3600)
    row = collect(outbox)
    assert row is not None
    outbox.attempted(row, DeliveryState.FAILED, error="no")
    redis.hset(row_key, "claim", "stale")
    redis.expire(due, 100)

    assert outbox.redeliver("msg_1") == "OK"

    assert redis.zscore(f"{OUTBOX}:done", "msg_1") is None
    assert redis.hmget(row_key, "claim", "finished_at") == [None, None]
    assert min(redis.ttl(row_key), redis.ttl(due)) > 2_000_000


def test_a_busy_destination_does_not_hold_up_the_others(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    for n in range(300):
        post(outbox, "http://slow.example/", id=f"msg_{n}")
    post(outbox, "http://quick.example/", id="msg_quick")
    busy = ("http://slow.example/",) * 2

    # 200 rows are looked at; those passed over come behind the others.
    found = [collect(outbox, "url", busy=busy) for _ in range(2)]

    assert [row.id for row in found if row] == ["msg_quick"]
    assert redis.zcard(f"{OUTBOX}:due:url") == 301
    assert all(each.state is not DeliveryState.SENDING for each in outbox.records(300)[1:])


def test_a_lease_is_lengthened_for_its_holder_alone(redis: redis_py.Redis) -> None:
    outbox, due = outbox_of(redis), f"{OUTBOX}:due:name:orders"
    post(outbox)
    row = collect(outbox, lease=10)
    assert row is not None
    now = redis.time()[0]

    assert outbox.hold(row, 500)
    assert redis.zscore(due, "msg_1") == pytest.approx(now + 500, abs=5)

    assert not outbox.hold(replace(row, token=b"another's"), 5000)
    redis.set(f"{OUTBOX}:off", "text")
    assert not outbox.hold(row, 5000)
    redis.delete(f"{OUTBOX}:off")
    assert redis.zscore(due, "msg_1") == pytest.approx(now + 500, abs=5)

    assert outbox.attempted(row, DeliveryState.DELIVERED)
    assert not outbox.hold(row, 500)
    assert redis.zscore(due, "msg_1") is None


def test_no_destination_gets_more_at_a_time_than_asked_in_one_call_either(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    for n in range(5):
        post(outbox, id=f"msg_{n}")

    wanted, most = 5, 2
    args = ["test:many", wanted, 10.0, most, 3600, 10, 1, "name:orders"]
    _, *taken = scripts.COLLECT(redis, [OUTBOX], args)

    assert len(taken) == most


def test_who_posts_is_told_whether_it_could_be_written(redis: redis_py.Redis) -> None:
    parcel = Parcel((Address("orders", "name:orders", 0.0, "msg_1"),), b"1", "t1", "q", "completed")
    text = parcel.encoded(ttl=60, cap=9)

    assert scripts.POST(redis, [OUTBOX], [text]) == 1

    redis.set(f"{OUTBOX}:off", "text")
    assert scripts.POST(redis, [OUTBOX], [text]) == 0


def test_a_row_that_has_expired_leaves_its_lane(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    post(outbox, id="msg_2")
    redis.delete(f"{OUTBOX}:row:msg_1")

    row = collect(outbox)

    assert row is not None
    assert row.id == "msg_2"
    assert redis.zrange(f"{OUTBOX}:due:name:orders", 0, -1) == [b"msg_2"]


@pytest.mark.parametrize("name", ["", ":done", ":off"])
def test_nothing_is_taken_or_settled_where_a_strangers_key_is_in_our_place(
    redis: redis_py.Redis, name: str
) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    row = collect(outbox)
    post(outbox, id="msg_2")
    assert row is not None
    redis.delete(OUTBOX + name)
    redis.set(OUTBOX + name, "text")

    assert collect(outbox) is None
    assert not outbox.attempted(row, DeliveryState.DELIVERED)
    assert outbox.redeliver("msg_2") == "UNKNOWN"
    assert redis.hget(f"{OUTBOX}:row:msg_1", "state") == b"sending"


def test_who_listens_to_the_queue_is_told_of_attempts(redis: redis_py.Redis) -> None:
    news = Channels(redis, DOCUMENTED).news("")
    outbox = Outbox(redis, "the test server", Kept(), news=lambda: news)
    post(outbox)
    row = collect(outbox)
    assert row is not None

    with redis.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe("asynq:events:0:mail_default")
        wait_until(lambda: redis.pubsub_numsub("asynq:events:0:mail_default")[0][1], "deaf")
        outbox.attempted(
            row, DeliveryState.WAITING, wait=60, error="answered 503", note="to orders"
        )
        told: list[dict[str, object]] = []
        wait_until(lambda: _hear(listener, told), "nothing was heard")

    assert told[0].pop("at")
    assert told == [
        {
            "event": "delivered",
            "id": "t1",
            "queue": "mail_default",
            "by": "",
            "attempt": 1,
            "error": "answered 503",
            "note": "to orders",
        }
    ]


def _hear(listener: redis_py.client.PubSub, told: list[dict[str, object]]) -> bool:
    message = listener.get_message(timeout=0.1)
    if message is not None:
        told.append(json.loads(message["data"]))
    return bool(told)


def test_a_row_to_be_attempted_later_is_nobodys_and_lives_on(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    row = collect(outbox)
    assert row is not None
    keys = (f"{OUTBOX}:row:msg_1", f"{OUTBOX}:due:name:orders")
    for key in keys:
        redis.expire(key, 100)

    assert outbox.attempted(row, DeliveryState.WAITING, wait=60)

    assert not outbox.attempted(row, DeliveryState.DELIVERED)
    assert min(map(redis.ttl, keys)) > 2_000_000


def test_the_newest_thousand_destinations_that_are_gone_are_remembered(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    redis.zadd(f"{OUTBOX}:off", {f"https://{n}.example/": n for n in range(1000)})
    post(outbox)
    row = collect(outbox)
    assert row is not None

    outbox.attempted(row, DeliveryState.GONE, error="answered 410")

    assert redis.zcard(f"{OUTBOX}:off") == 1000
    assert redis.zrange(f"{OUTBOX}:off", -1, -1) == [b"orders"]


def test_the_newest_finished_rows_are_kept(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis, cap=3)
    for n in range(6):
        post(outbox, id=f"msg_{n}")
        row = collect(outbox)
        assert row is not None
        outbox.attempted(row, DeliveryState.DELIVERED, answer=200)

    assert [each.id for each in outbox.records(10)] == ["msg_5", "msg_4", "msg_3"]
    assert len(list(redis.scan_iter("asynq:nb:outbox:row:*"))) == 3
    assert redis.zrange(OUTBOX, 0, -1) == redis.zrange(f"{OUTBOX}:done", 0, -1)
    assert redis.zcard(OUTBOX) == 3


def test_what_is_past_its_time_goes_with_what_comes(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis, ttl=3600)
    now = redis.time()[0]
    redis.zadd(OUTBOX, {"ancient": now - 31 * 86_400, "old": now - 7200})
    redis.zadd(f"{OUTBOX}:done", {"old": now - 7200})
    redis.hset(f"{OUTBOX}:row:old", "to", "orders")
    post(outbox)
    row = collect(outbox)
    assert row is not None
    assert redis.zrange(OUTBOX, 0, -1) == [b"old", b"msg_1"]

    outbox.attempted(row, DeliveryState.DELIVERED, answer=200)

    assert redis.zrange(OUTBOX, 0, -1) == [b"msg_1"]
    assert not redis.exists(f"{OUTBOX}:row:old")
    assert 3500 < redis.ttl(f"{OUTBOX}:row:msg_1") <= 3600


def test_a_lane_that_is_full_gives_up_its_oldest_row(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    due = f"{OUTBOX}:due:name:orders"
    post(outbox)
    redis.zadd(due, {f"other{n}": 4e9 for n in range(MOST_WAITING - 1)})

    post(outbox, id="msg_2")

    assert redis.zcard(due) == MOST_WAITING
    assert record(outbox).state is DeliveryState.FAILED
    assert record(outbox).error == "too many deliveries waited before it"

    redis.zadd(due, {"no row": 1.0})
    post(outbox, id="msg_3")

    assert redis.zscore(due, "no row") is None
    assert not redis.exists(f"{OUTBOX}:row:no row")


def post_held(outbox: Outbox) -> None:
    """Two rows that hold back a third one."""
    rows = (
        Address("bucket", "name:bucket", 0.0, "first", holds=("held",)),
        Address("bucket", "name:bucket", 0.0, "second", holds=("held",)),
        Address("orders", "name:orders", 3600.0, "held", held=2),
    )
    outbox.post(Parcel(rows, b"1", "t1", "mail_default", "completed"))


def end_one(outbox: Outbox) -> str:
    """Has the next row for the bucket fail; its id."""
    row = collect(outbox, "name:bucket")
    assert row is not None
    assert outbox.attempted(row, DeliveryState.FAILED, error="no")
    return row.id


def test_a_row_that_others_hold_back_goes_at_once_when_all_of_them_have_ended(
    redis: redis_py.Redis,
) -> None:
    outbox, key = outbox_of(redis), f"{OUTBOX}:row:held"
    post_held(outbox)
    redis.expire(key, 100)

    end_one(outbox)
    assert collect(outbox) is None
    end_one(outbox)

    due_at = record(outbox, "held").due_at
    assert due_at is not None
    assert due_at.timestamp() == pytest.approx(redis.time()[0], abs=5)
    assert min(redis.ttl(key), redis.ttl(f"{OUTBOX}:due:name:orders")) > 2_000_000
    row = collect(outbox)
    assert row is not None
    assert row.id == "held"


def test_a_row_that_ends_twice_lets_go_once(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    post_held(outbox)

    ended = end_one(outbox)
    redis.zadd(f"{OUTBOX}:due:name:bucket", {"first": 4e9, "second": 4e9}, xx=True)
    assert outbox.redeliver(ended) == "OK"
    assert end_one(outbox) == ended

    assert collect(outbox) is None


def test_a_strangers_key_in_the_lane_of_a_held_row_costs_that_delivery_alone(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    post_held(outbox)
    redis.set(f"{OUTBOX}:due:name:orders", "text")

    ended = {end_one(outbox), end_one(outbox)}

    assert {record(outbox, each).state for each in ended} == {DeliveryState.FAILED}


def test_nothing_lives_for_ever(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis, ttl=3600)
    for n in range(3):
        post(outbox, id=f"msg_{n}")
    post(outbox, "echo-1", id="msg_echo")
    for state in (DeliveryState.DELIVERED, DeliveryState.GONE):
        row = collect(outbox)
        assert row is not None
        outbox.attempted(row, state, error="answered 410")

    keys = list(redis.scan_iter("asynq:nb:*"))

    assert len(keys) == 10
    assert all(redis.ttl(key) > 0 for key in keys)


def test_a_strangers_keys_in_our_place_cost_nothing_but_the_delivery(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    redis.delete("asynq:nb:outbox:due:name:orders")
    redis.set("asynq:nb:outbox:due:name:orders", "x")

    post(outbox, id="msg_2")

    assert collect(outbox) is None
    assert [each.id for each in outbox.records(10)] == ["msg_1"]


def test_rows_can_be_collected_and_settled_while_the_memory_is_full(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    post(outbox)
    redis.config_set("maxmemory", "1")
    try:
        row = collect(outbox)
        assert row is not None
        assert outbox.attempted(row, DeliveryState.DELIVERED, answer=200)
    finally:
        redis.config_set("maxmemory", "0")


def test_the_scripts_run_where_there_is_no_server() -> None:
    """In fakeredis, which is what Windows gets."""
    outbox = outbox_of(fakeredis.FakeRedis())
    post(outbox)
    row = collect(outbox)
    assert row is not None

    assert outbox.attempted(row, DeliveryState.GONE, error="answered 410")
    assert outbox.redeliver("msg_1") == "OK"
    row = collect(outbox)
    assert row is not None
    assert outbox.attempted(row, DeliveryState.DELIVERED, answer=200)
    assert record(outbox).attempts == 1
