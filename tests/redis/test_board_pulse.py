"""A board's pulse: what it hears of others' work and what Redis says of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis as redis_py

from runqy_notebook import task
from runqy_notebook.session import Session
from runqy_notebook.ui.board.pulse import MOST_UNDER_WAY, Pulse
from runqy_notebook.ui.board.seconds import Second
from runqy_notebook.wire.events import Event, Kind
from tests.boarding import Clock
from tests.interop.foreign import ForeignWorker
from tests.servers import running_server
from tests.waiting import wait_until


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pulse(session: Session, clock: Clock) -> Iterator[Pulse]:
    """Of a session that only looks; its seconds pass as the clock is moved."""
    opened = Pulse(session, clock)
    opened.open()
    yield opened
    opened.close()


def last_second(pulse: Pulse, clock: Clock, queue: str | None = None) -> Second:
    """What was counted until now."""
    with clock.ahead(1):
        (second,) = pulse.seconds(1, queue)
    return second


def test_it_hears_what_another_session_works_on(
    pulse: Pulse, clock: Clock, make_session: Callable[..., Session]
) -> None:
    other = make_session()
    gate = threading.Event()

    @task(queue="mail", max_retry=0)
    def act(payload: dict[str, object]) -> None:
        gate.wait(5)
        if payload["n"] == 0:
            raise ValueError("no such address")

    other.start_worker("mail")
    group = other.enqueue_many("mail", [{"n": n} for n in range(3)])
    wait_until(lambda: last_second(pulse, clock).enqueued == 3, "not heard of")
    gate.set()
    group.wait(10)

    wait_until(lambda: last_second(pulse, clock).completed == 2, "no end was heard")
    wait_until(lambda: last_second(pulse, clock).failed == 1, "no failure was heard")
    second = last_second(pulse, clock, "mail_default")
    assert (second.enqueued, second.completed, second.failed) == (3, 2, 1)
    assert second.n_waited == second.n_ran == 3
    assert last_second(pulse, clock, "another").completed == 0


def test_it_looks_into_redis_once_a_second_at_most(
    pulse: Pulse, clock: Clock, session: Session
) -> None:
    session.enqueue("mail", {})
    pulse.look()
    (before,) = pulse.records
    session.enqueue("mail", {})

    clock.now += 0.9
    pulse.look()
    too_early = pulse.records
    clock.now += 0.2
    pulse.look()

    assert [each.pending for each in too_early] == [before.pending] == [1]
    assert [each.pending for each in pulse.records] == [2]


def test_what_a_foreign_worker_does_is_seen_in_its_counters(
    pulse: Pulse, clock: Clock, session: Session, redis: redis_py.Redis
) -> None:
    session.enqueue_many("mail", [{}, {}, {}])
    pulse.look()
    worker = ForeignWorker(redis, ("mail",))
    for _ in range(2):
        taken = worker.take()
        assert taken is not None
        worker.complete(taken)
        redis.incr("asynq:mail:processed")

    for _ in range(2):
        clock.now += 3
        pulse.look()

    assert last_second(pulse, clock, "mail").completed == 2
    (record,) = pulse.records
    assert record.pending == 1


def test_a_redis_that_went_away_is_told_and_what_was_known_stays(
    tmp_path: Path, clock: Clock
) -> None:
    with running_server(tmp_path) as server, Session(server.url) as session:
        session.enqueue("mail", {})
        pulse = Pulse(session, clock)
        pulse.look()
        server.process.kill()
        server.process.wait()

        clock.now += 3
        pulse.look()

    assert "127.0.0.1" in pulse.problem
    assert [each.queue for each in pulse.records] == ["mail"]


def test_what_strangers_publish_neither_grows_it_nor_breaks_it(pulse: Pulse, clock: Clock) -> None:
    for n in range(MOST_UNDER_WAY + 10):
        pulse.take(Event(Kind.ENQUEUED, f"t{n}", f"q{n}", float("nan")))
    pulse.take(Event(Kind.STARTED, f"t{n}", "q", float("inf")))
    pulse.take(Event(Kind.COMPLETED, f"t{n}", "q", float("-inf")))

    second = last_second(pulse, clock)
    assert (second.enqueued, second.completed) == (MOST_UNDER_WAY + 10, 1)
    assert (second.waited, second.ran) == (0.0, 0.0)
    assert len(pulse._waiting) <= MOST_UNDER_WAY
    assert len(pulse._queues) < 300


def test_only_what_a_person_does_ends_a_rest(pulse: Pulse) -> None:
    pulse.nudge()
    pulse.rest(0.01)
    pulse.wake()

    pulse.rest(3600)
    pulse.wait(3600)

    began = time.monotonic()
    pulse.rest(0.05)
    assert time.monotonic() - began >= 0.05


def test_after_its_close_nothing_is_heard(session: Session, clock: Clock) -> None:
    pulse = Pulse(session, clock)
    pulse.open()
    pulse.close()

    session.enqueue("mail", {})

    assert last_second(pulse, clock).enqueued == 0
    assert session.events.subscriptions == ()
