"""What happens to tasks is heard by other processes, while they listen."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, task
from runqy_notebook.broker.control import Control
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.errors import TaskFailedError
from runqy_notebook.ui.stream import put_by_time
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.states import State
from tests.broking import (
    broker_of,
    claim,
    done,
    end_lease,
    enqueue,
    push,
    released,
    retried,
    settle,
    sweep,
)
from tests.waiting import wait_until

CHANNEL = "asynq:events:0:mail_default"


class Stranger:
    """A program of another kind that listens to a channel."""

    def __init__(self, client: redis_py.Redis, **subscribe: Any) -> None:
        self.pubsub = client.pubsub(ignore_subscribe_messages=True)
        if "pattern" in subscribe:
            self.pubsub.psubscribe(subscribe["pattern"])
        else:
            self.pubsub.subscribe(CHANNEL)
        wait_until(lambda: self.pubsub.subscribed, "not subscribed")
        self.pubsub.get_message(timeout=1.0)
        self.heard: list[dict[str, Any]] = []

    def events(self) -> list[str]:
        """The events heard so far, by name."""
        while (message := self.pubsub.get_message(timeout=0.2)) is not None:
            self.heard.append(json.loads(message["data"]))
        return [event["event"] for event in self.heard]


def heard_by(session: Session, **what: Any) -> list[Event]:
    heard: list[Event] = []
    session.listen(heard.append, **what)
    return heard


def kinds(heard: list[Event]) -> list[str]:
    """In the order of their times, as a stream shows them: the worker of a session can tell that a
    task has started before the session has told that it enqueued it.
    """
    ordered: list[Event] = []
    for event in list(heard):
        put_by_time(ordered, event)
    return [event.kind.value for event in ordered]


def commands(client: redis_py.Redis, name: str) -> int:
    """How often the server has run this command."""
    return int(client.info("commandstats").get(f"cmdstat_{name}", {}).get("calls", 0))


# --- what is published ----------------------------------------------------------------------------


def test_every_step_of_a_task_is_published(redis: redis_py.Redis) -> None:
    stranger, broker = Stranger(redis), broker_of(redis)

    enqueue(broker, "t1")
    settle(broker, released(claim(broker)[0]))
    settle(broker, retried(claim(broker)[0], delay=0.0))
    sweep(broker)
    settle(broker, done(claim(broker)[0], b"7"))

    assert stranger.events() == [
        "enqueued", "started", "released", "started", "retried", "due", "started", "completed",
    ]  # fmt: skip
    states = [event["state"] for event in stranger.heard]
    assert states == [
        "pending", "active", "pending", "active", "retry", "pending", "active", "completed",
    ]  # fmt: skip
    assert {event["id"] for event in stranger.heard} == {"t1"}
    assert {event["queue"] for event in stranger.heard} == {"mail_default"}
    times = [event["at"] for event in stranger.heard]
    assert times == sorted(times)


def test_a_task_that_is_taken_from_a_dead_worker_is_published(redis: redis_py.Redis) -> None:
    stranger, broker = Stranger(redis), broker_of(redis, crash_limit=2)
    enqueue(broker, "t1")

    claim(broker)
    end_lease(redis, "t1")
    sweep(broker)
    sweep(broker)

    assert stranger.events() == ["enqueued", "started", "redelivered"]


def test_what_people_do_to_tasks_is_published(redis: redis_py.Redis) -> None:
    stranger, broker = Stranger(redis), broker_of(redis)
    control = Control(broker, Inspector(redis))
    for task_id in ("runs", "waits", "goes", "goes too"):
        push(redis, task_id)
    claim(broker)

    control.cancel(["runs", "waits"])
    control.run_now("waits")
    control.run_now("goes")
    control.delete(["waits"])
    list(control.purge("mail_default", State.PENDING, 9))

    assert stranger.events() == [
        "started", "cancelling", "archived", "enqueued", "due", "deleted", "deleted", "deleted",
    ]  # fmt: skip
    assert [event["id"] for event in stranger.heard] == [
        "runs", "runs", "waits", "waits", "goes", "waits", "goes", "goes too",
    ]  # fmt: skip


def test_a_pattern_is_heard_too(redis: redis_py.Redis) -> None:
    stranger, broker = Stranger(redis, pattern="asynq:events:0:mail*"), broker_of(redis)

    enqueue(broker, "t1")

    assert stranger.events() == ["enqueued"]


def test_where_nobody_listens_nothing_is_published(redis: redis_py.Redis) -> None:
    broker = broker_of(redis)
    redis.config_resetstat()

    enqueue(broker, *(f"t{i}" for i in range(10)))
    settle(broker, *(done(task) for task in claim(broker, want=10)))

    assert commands(redis, "publish") == 0


def test_a_session_that_listens_is_told_by_itself_without_a_detour(
    session: Session, redis: redis_py.Redis
) -> None:
    task(queue="mail")(lambda payload: 7)
    everything, mail = heard_by(session), heard_by(session, names=["mail"])
    session.start_worker("mail")
    session.enqueue("mail", {})  # a worker that just starts may not know yet what is heard here
    wait_until(lambda: len(mail) == len(everything) == 3, lambda: str(mail))
    everything.clear()
    mail.clear()
    redis.config_resetstat()

    handle = session.enqueue("mail", {})

    assert handle.result(timeout=10) == 7
    wait_until(lambda: len(mail) == len(everything) == 3, lambda: str(mail))
    assert kinds(everything) == kinds(mail) == ["enqueued", "started", "completed"]
    assert [event.outcome is not None for event in mail].count(True) == 1
    assert commands(redis, "publish") == 0


def test_a_session_hears_what_it_did_once_although_others_listen(
    session: Session, redis: redis_py.Redis
) -> None:
    task(queue="mail")(lambda payload: 7)
    heard, stranger = heard_by(session), Stranger(redis)
    session.start_worker("mail")

    session.enqueue("mail", {}).result(timeout=10)

    assert stranger.events() == ["enqueued", "started", "completed"]
    assert stranger.heard[-1]["result"] == 7
    assert kinds(heard) == ["enqueued", "started", "completed"]


# --- what a session hears -------------------------------------------------------------------------


def test_a_session_hears_of_other_sessions(make_session: Callable[..., Session]) -> None:
    task(queue="mail")(lambda payload: {"n": payload["n"] + 1})
    watcher, producer, consumer = make_session(), make_session(), make_session()
    heard = heard_by(watcher, names=["mail"])
    consumer.start_worker("mail")

    handle = producer.enqueue("mail", {"n": 1})

    assert handle.result(timeout=10) == {"n": 2}
    wait_until(lambda: len(heard) == 3, lambda: str(heard))
    assert kinds(heard) == ["enqueued", "started", "completed"]
    assert heard[0].by == producer.id
    assert (heard[1].attempt, heard[1].attempts) == (1, 4)
    assert heard[2].result == b'{"n": 2}'
    assert heard[2].outcome is None


def test_a_queue_that_comes_later_is_heard_too(make_session: Callable[..., Session]) -> None:
    watcher, producer = make_session(), make_session()
    heard = heard_by(watcher)

    producer.enqueue("brand_new_queue", {})

    wait_until(lambda: kinds(heard) == ["enqueued"], lambda: str(heard))


def test_who_stopped_listening_hears_nothing(make_session: Callable[..., Session]) -> None:
    watcher, producer = make_session(), make_session()
    heard: list[Event] = []
    subscription = watcher.listen(heard.append)
    producer.enqueue("mail", {})
    wait_until(lambda: len(heard) == 1, "nothing was heard")

    watcher.unlisten(subscription)
    producer.enqueue("mail", {})
    marker = heard_by(watcher)
    producer.enqueue("mail", {})

    wait_until(lambda: marker, "nothing was heard")  # perhaps of the one before, too
    assert len(heard) == 1


def test_the_failure_of_another_sessions_worker_is_heard(
    make_session: Callable[..., Session],
) -> None:
    task(queue="mail", max_retry=0)(lambda payload: 1 / 0)
    producer, consumer = make_session(), make_session()
    consumer.start_worker("mail")

    handle = producer.enqueue("mail", {}, max_retry=0)

    with pytest.raises(TaskFailedError, match="division by zero"):
        handle.result(timeout=10)


def test_a_stored_result_is_heard_too(make_session: Callable[..., Session]) -> None:
    producer, consumer = make_session(), make_session()

    @task(queue="mail", store_result=True)
    def handle(payload: dict[str, Any]) -> int:
        return 7

    consumer.start_worker("mail")
    heard = heard_by(producer, names=["mail"])

    producer.enqueue("mail", {}).result(timeout=10)

    wait_until(lambda: "completed" in kinds(heard), "the end was not heard")
    (end,) = (event for event in heard if event.kind is Kind.COMPLETED)
    assert end.result == b"7"  # not always the last: enqueue may tell later that it is done


def test_a_large_result_is_not_published_but_its_end_is(
    make_session: Callable[..., Session],
) -> None:
    task(queue="mail")(lambda payload: "x" * 70_000)
    watcher, consumer = make_session(), make_session()
    heard = heard_by(watcher)
    consumer.start_worker("mail")

    consumer.enqueue("mail", {}).result(timeout=10)

    wait_until(lambda: "completed" in kinds(heard), lambda: str(heard))
    assert heard[-1].result is None


def test_hearing_goes_on_after_the_connection_broke(
    make_session: Callable[..., Session], redis: redis_py.Redis
) -> None:
    watcher, producer = make_session(), make_session()
    heard = heard_by(watcher)
    redis.client_kill_filter(_type="pubsub")

    def heard_something() -> bool:
        producer.enqueue("mail", {})
        return bool(heard)

    wait_until(heard_something, "nothing was heard after the connection broke")


def test_what_is_no_event_on_a_channel_harms_nobody(
    session: Session, redis: redis_py.Redis
) -> None:
    heard = heard_by(session)

    for text in (b"", b"{", b"null", b"\xff", b"[" * 50_000):
        redis.publish(CHANNEL, text)
    redis.publish(CHANNEL, '{"event": "started", "id": "t1", "queue": "mail_default", "at": 1}')

    wait_until(lambda: len(heard) == 1, "nothing was heard")
    assert heard[0].kind is Kind.STARTED


def test_a_user_who_may_not_subscribe_works_all_the_same(
    url: str, redis: redis_py.Redis, make_session: Callable[..., Session]
) -> None:
    task(queue="mail")(lambda payload: 7)
    redis.execute_command(
        "ACL", "SETUSER", "quiet", "on", ">pw", "~asynq:*", "resetchannels", "+@all", "-psubscribe",
        "-subscribe",
    )  # fmt: skip
    quiet = make_session(url=url.replace("redis://", "redis://quiet:pw@"))
    heard = heard_by(quiet)
    quiet.start_worker("mail")

    assert quiet.enqueue("mail", {}).result(timeout=10) == 7
    assert kinds(heard) == ["enqueued", "started", "completed"]
    redis.execute_command("ACL", "DELUSER", "quiet")
