"""Faults of a lesson: each is real, and after each nothing is lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis as redis_py

from runqy_notebook.broker import embedded, faults
from runqy_notebook.errors import LessonError
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.lesson.moves import Kind
from runqy_notebook.lesson.scene import At, Place
from runqy_notebook.session import Session
from tests.lesson.conftest import until
from tests.waiting import wait_until

Make = Callable[..., tuple[Session, Lesson]]
PENDING = "asynq:greet_high:pending"


def test_a_worker_killed_mid_task_loses_nothing_and_its_task_runs_apart(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    handle = session.enqueue("greet_high", {"name": "Ada"}, id="ada")
    until(lesson, Kind.CLAIM)
    worker = lesson._stage.worker
    assert worker is not None

    killed = lesson.kill_worker()

    assert not psutil.pid_exists(worker.pid)
    assert (killed.kind, killed.after.worker) == (Kind.KILL, At.DEAD)
    assert "in the middle of the task" in killed.told
    assert killed.after.place_of("ada") is Place.PENDING
    assert redis.hget("asynq:t:ada", "crashes") == b"1"
    assert [command.script for command in killed.commands] == ["lose"]
    assert "It is a suspect" in until(lesson, Kind.CLAIM).told
    until(lesson, Kind.ACKNOWLEDGE)
    assert handle.result(5) == {"said": "Ada"}


def test_a_worker_killed_while_its_handler_runs_is_killed_there(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"seconds": 60}, id="long")
    until(lesson, Kind.CLAIM)
    lesson.begin(Kind.CLAIM)
    wait_until(lambda: redis.hget("asynq:nb:said:long", "lines") == b"1", "it did not begin")

    killed = lesson.kill_worker()

    assert killed.told.startswith("The worker was killed (SIGKILL) while the handler ran.")
    assert redis.lrange(PENDING, 0, -1) == [b"long"]


def test_a_worker_killed_before_its_acknowledgement_is_not_to_blame(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {}, id="ada")
    until(lesson, Kind.RUN)

    killed = lesson.kill_worker()

    assert "before the acknowledgement" in killed.told
    assert "not blamed" in killed.told
    assert redis.hmget("asynq:t:ada", "state", "crashes") == [b"pending", None]


def test_an_idle_worker_has_nothing_to_lose_and_none_cannot_be_killed(make_lesson: Make) -> None:
    _, lesson = make_lesson()

    with pytest.raises(LessonError, match="no worker to kill"):
        lesson.kill_worker()
    until(lesson, Kind.START)

    assert "held nothing" in lesson.kill_worker().told


def test_with_the_guardian_dead_too_the_lease_ends_and_a_second_look_gives_back(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {}, id="ada")
    until(lesson, Kind.CLAIM)

    killed = lesson.kill_worker_and_guardian()
    assert killed.after.place_of("ada") is Place.ACTIVE
    until(lesson, Kind.START)
    suspected, given_back = lesson.next(), lesson.next()

    assert "only a suspect" in suspected.told
    assert suspected.after.place_of("ada") is Place.ACTIVE
    assert "On the second look" in given_back.told
    assert given_back.after.place_of("ada") is Place.PENDING
    assert redis.hmget("asynq:t:ada", "losses", "crashes") == [b"1", None]


def test_a_lost_reply_is_asked_for_again_and_counts_once(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    handle = session.enqueue("greet_high", {"name": "Ada"}, id="ada")
    until(lesson, Kind.RUN)

    lost = lesson.drop_acknowledgement()
    again = lesson.next()

    assert (lost.after.worker, lost.after.place_of("ada")) == (At.UNANSWERED, Place.COMPLETED)
    assert (again.kind, again.after.worker) == (Kind.AGAIN, At.IDLE)
    assert again.changes == ()
    assert [len(command.inner) for command in again.commands] == [2]
    assert redis.get("asynq:greet_high:processed") == b"1"
    assert handle.result(5) == {"said": "Ada"}


def test_a_fault_for_the_next_acknowledgement_waits_for_it(make_lesson: Make) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {}, id="ada")

    armed = lesson.drop_acknowledgement()
    until(lesson, Kind.RUN)
    lost = lesson.next()

    assert armed.after.loses_reply
    assert lost.kind is Kind.LOSE
    assert "the reply was lost" in lost.told
    assert not lost.after.loses_reply


def test_an_id_without_a_hash_is_looked_at_three_times_and_archived(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"name": "Ada"}, id="ada")

    pushed = lesson.push_orphan()
    (orphan,) = set(pushed.after.places[Place.PENDING]) - {"ada"}
    assert [c.words[0] for c in pushed.commands] == [b"LPUSH"]
    until(lesson, Kind.ACKNOWLEDGE)
    waiting = lesson.next()
    looks = [lesson.next() for _ in range(3)]

    assert waiting.after.place_of(orphan) is Place.WAITING
    assert [move.kind for move in looks] == [Kind.SWEEP] * 3
    assert looks[-1].after.place_of(orphan) is Place.ARCHIVED
    assert "archived as an orphan" in looks[-1].told
    assert redis.hget("asynq:t:ada", "state") == b"completed"


def test_a_server_that_is_not_ours_is_not_frozen(make_lesson: Make) -> None:
    _, lesson = make_lesson()

    assert "only the embedded server" in lesson.why_not(Kind.FREEZE)
    with pytest.raises(LessonError, match="only the embedded server"):
        lesson.freeze_server()


@pytest.fixture
def state_dir(tmp_path: Path) -> Iterator[Path]:
    """Of an embedded server of the test's own."""
    yield tmp_path / "state"
    embedded.stop(tmp_path / "state")


def test_a_frozen_server_costs_a_running_task_nothing(make_lesson: Make, state_dir: Path) -> None:
    session, lesson = make_lesson(url=None, embedded=True, state_dir=str(state_dir))
    session.enqueue("greet_high", {}, id="ada")
    until(lesson, Kind.CLAIM)

    frozen = lesson.freeze_server()
    swept = lesson.next()

    assert "SIGSTOP" in frozen.told
    assert swept.kind is Kind.SWEEP
    assert swept.after.place_of("ada") is Place.ACTIVE
    assert until(lesson, Kind.ACKNOWLEDGE).after.place_of("ada") is Place.COMPLETED
    assert session.record("ada").starts == 1
    session.close()


def test_a_server_thaws_though_whoever_froze_it_is_killed(
    make_session: Callable[..., Session], state_dir: Path
) -> None:
    session = make_session(url=None, embedded=True, state_dir=str(state_dir))
    pid = embedded.running_pid(state_dir)
    assert pid is not None

    def is_frozen() -> bool:
        return bool(psutil.Process(pid).status() == psutil.STATUS_STOPPED)

    def die(seconds: float) -> None:
        wait_until(is_frozen, "the signal has not reached it", seconds)
        os.kill(os.getpid(), 9)

    child = os.fork()
    if child == 0:
        try:
            faults.freeze(session.server, 1.0, die)
        finally:
            os._exit(1)

    assert os.waitpid(child, 0)[1] == 9, "it was not frozen"
    wait_until(lambda: not is_frozen(), "it stays frozen")
    session.ping()
    session.close()
