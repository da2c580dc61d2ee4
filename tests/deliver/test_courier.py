import itertools
import threading
import time

import redis as redis_py

from runqy_notebook.deliver.courier import Report, Rules
from runqy_notebook.deliver.directory import Directory
from runqy_notebook.deliver.schedule import Schedule
from runqy_notebook.deliver.signing import Secret, Verdict, verify
from runqy_notebook.deliver.sink import Attempt, Limits, Message
from runqy_notebook.deliver.webhook import Endpoint
from runqy_notebook.wire.deliveries import DeliveryState
from tests.deliver.outboxes import delivering, directory_of, outbox_of, post, record
from tests.deliver.receiving import Receiver
from tests.waiting import wait_until


def test_what_is_posted_is_delivered(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    reports: list[Report] = []
    with (
        Receiver() as receiver,
        delivering(outbox, directory_of(receiver.url), on_attempt=reports.append) as courier,
    ):
        for n in range(20):
            post(outbox, id=f"msg_{n}", body=b'{"n": %d}' % n)
        courier.wake()
        wait_until(lambda: len(reports) == 20, "all should be delivered")

        assert {r.headers["webhook-id"]: r.body for r in receiver.requests} == {
            f"msg_{n}": b'{"n": %d}' % n for n in range(20)
        }
        assert {report.state for report in reports} == {DeliveryState.DELIVERED}


def test_attempts_keep_to_the_schedule_with_one_id_and_fresh_signatures(
    redis: redis_py.Redis,
) -> None:
    outbox, secret = outbox_of(redis), Secret.new()
    schedule = Schedule((0.0, 0.5, 1.0, 1.5))
    directory = Directory()
    notices: list[str] = []
    with Receiver() as receiver:
        receiver.answers(500)
        directory.add("orders", Endpoint(receiver.url, (secret,), allow_private=True))
        with delivering(outbox, directory, lambda: Rules(schedule, 2.0), notice=notices.append):
            post(outbox)
            wait_until(lambda: record(outbox).state is DeliveryState.FAILED, "it should give up")

        at = [each.at for each in receiver.requests]
        waits = [later - sooner for sooner, later in itertools.pairwise(at)]
        for wait, planned in zip(waits, (0.5, 1.0, 1.5), strict=True):
            assert 0.8 * planned <= wait < planned + 2.0  # jitter; and later on a busy machine
        assert {each.headers["webhook-id"] for each in receiver.requests} == {"msg_1"}
        assert len({each.headers["webhook-signature"] for each in receiver.requests}) >= 3
        for each in receiver.requests:
            assert abs(int(each.headers["webhook-timestamp"]) - each.unix) < 3
            verdict = verify([secret], each.headers, each.body, now=each.unix)
            assert verdict is Verdict.VALID
    (told,) = notices
    assert "4 attempts" in told
    assert "--retry msg_1" in told


def test_a_slow_destination_leaves_room_for_others(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    deadline = 2.0
    with Receiver() as slow, Receiver() as quick:
        released = threading.Event()
        slow.does(lambda channel: released.wait(60) and None)
        directory = directory_of(slow.url, "slow")
        directory.add("quick", Endpoint(quick.url, allow_private=True))
        with delivering(
            outbox, directory, lambda: Rules(Schedule((0.0, 60.0)), deadline)
        ) as courier:
            post(outbox, "slow", id="msg_first")
            wait_until(lambda: record(outbox, "msg_first").attempts == 1, "known to be slow")
            deadline = 60.0  # from now on the slow one holds whoever comes to it
            for n in range(20):
                post(outbox, "slow", id=f"msg_slow_{n}")
            post(outbox, "quick", id="msg_quick")
            courier.wake()

            wait_until(lambda: quick.requests, "the quick one should get its turn")
            released.set()


def test_retry_after_is_waited_for(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    with Receiver() as receiver, delivering(outbox, directory_of(receiver.url)):
        receiver.answers(429, {"Retry-After": "600"})
        post(outbox)
        wait_until(lambda: record(outbox).attempts == 1, "an attempt should be made")

    held = record(outbox)
    assert held.state is DeliveryState.WAITING
    assert held.due_at is not None
    assert held.due_at.timestamp() - time.time() > 500


def test_410_ends_it_with_a_notice(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    notices: list[str] = []
    with (
        Receiver() as receiver,
        delivering(outbox, directory_of(receiver.url), notice=notices.append) as courier,
    ):
        receiver.answers(410)
        post(outbox)
        wait_until(lambda: record(outbox).state is DeliveryState.GONE, "it should be gone")
        post(outbox, id="msg_2")
        courier.wake()
        wait_until(lambda: record(outbox, "msg_2").state is DeliveryState.GONE, "this one too")

        assert len(receiver.requests) == 1
    assert "410" in notices[0]


def test_two_couriers_share_the_work_without_repeating_it(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    with Receiver() as receiver:
        directory = directory_of(receiver.url)
        for n in range(100):
            post(outbox, id=f"msg_{n}")
        with delivering(outbox, directory), delivering(outbox, directory):
            wait_until(
                lambda: all(r.state is DeliveryState.DELIVERED for r in outbox.records(100)),
                "all should be delivered",
                20,
            )

        assert sorted(r.headers["webhook-id"] for r in receiver.requests) == sorted(
            f"msg_{n}" for n in range(100)
        )


def test_a_strangers_url_reaches_nothing_on_this_machine(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    notices: list[str] = []
    with Receiver() as canary, delivering(outbox, Directory(), notice=notices.append):
        post(outbox, canary.url)
        wait_until(lambda: record(outbox).state is DeliveryState.FAILED, "it should be refused")
        wait_until(lambda: notices, "it should be told")

        wait_until(lambda: notices, "that should be told")
        assert canary.connections == 0
        assert "only machines here can reach" in notices[0]


class BrokenSink(Endpoint):
    """A sink of somebody else's that does not keep its promise."""

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        raise ZeroDivisionError("a fault of ours")


def test_what_nobody_expected_ends_a_delivery_instead_of_repeating_it(
    redis: redis_py.Redis,
) -> None:
    outbox, directory = outbox_of(redis), Directory()
    directory.add("orders", BrokenSink("http://127.0.0.1:80/"))
    with delivering(outbox, directory):
        post(outbox)
        wait_until(lambda: record(outbox).state is DeliveryState.FAILED, "it should be given up")

    assert record(outbox).error == "ZeroDivisionError: a fault of ours"


def test_our_own_address_is_reached_by_its_url(redis: redis_py.Redis) -> None:
    outbox = outbox_of(redis)
    with Receiver() as receiver:
        rules = Rules(Schedule((0.0,)), 2.0, {("127.0.0.1", receiver.port)})
        with delivering(outbox, Directory(), lambda: rules):
            post(outbox, receiver.url)
            wait_until(lambda: record(outbox).state is DeliveryState.DELIVERED, "delivered")


def test_a_courier_outlives_an_absent_redis_and_a_listener_that_raises(
    redis: redis_py.Redis,
) -> None:
    outbox = outbox_of(redis)
    notices: list[str] = []

    def raising(report: Report) -> None:
        raise RuntimeError("no ears")

    with (
        Receiver() as receiver,
        delivering(
            outbox, directory_of(receiver.url), on_attempt=raising, notice=notices.append
        ) as courier,
    ):
        post(outbox)
        wait_until(lambda: notices, "the fault should be told")
        redis.client_kill_filter(_type="normal", skipme=True)
        post(outbox, id="msg_2")
        courier.wake()
        wait_until(lambda: record(outbox, "msg_2").state is DeliveryState.DELIVERED, "goes on")
    assert len(notices) == 1
