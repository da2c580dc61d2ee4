"""The moves of a lesson's worker, on a real server: where tasks go, and what is said of that."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import load, task
from runqy_notebook.errors import HandlerError, LessonError
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.lesson.moves import Kind
from runqy_notebook.lesson.scene import At, Place
from runqy_notebook.session import Session
from tests.lesson.conftest import until
from tests.servers import RunningServer
from tests.waiting import wait_until

Make = Callable[..., tuple[Session, Lesson]]
PENDING = "asynq:greet_high:pending"


def test_a_task_goes_through_one_gate_a_move(make_lesson: Make, redis: redis_py.Redis) -> None:
    session, lesson = make_lesson()
    handle = session.enqueue("greet_high", {"name": "Ada"}, id="ada")

    kinds, places, gates = [], [], []
    for _ in range(4):
        move = lesson.next()
        kinds.append(move.kind)
        places.append(move.after.place_of("ada"))
        gates.append(move.after.worker)

    assert kinds == [Kind.START, Kind.CLAIM, Kind.RUN, Kind.ACKNOWLEDGE]
    assert places == [Place.PENDING, Place.ACTIVE, Place.ACTIVE, Place.COMPLETED]
    assert gates == [At.IDLE, At.HOLDS, At.DONE, At.IDLE]
    assert lesson.moves[2].lines == ("hello Ada",)
    assert redis.hget("asynq:t:ada", "state") == b"completed"
    assert handle.result(5) == {"said": "Ada"}


def test_a_failure_waits_for_its_time_is_brought_due_and_is_archived_in_the_end(
    make_lesson: Make,
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"bad": True}, id="bad", max_retry=1)

    failed = until(lesson, Kind.ACKNOWLEDGE)
    due = lesson.next()
    again = until(lesson, Kind.ACKNOWLEDGE)

    assert failed.after.place_of("bad") is Place.RETRY
    assert due.kind is Kind.SWEEP
    assert "bad came due" in due.told
    assert due.after.place_of("bad") is Place.PENDING
    assert again.after.place_of("bad") is Place.ARCHIVED
    assert "archived" in again.told
    assert session.record("bad").error == "ValueError: no such name"


def test_what_is_far_from_due_is_told_and_not_waited_for(make_lesson: Make) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {}, id="late", delay=600)

    until(lesson, Kind.START)
    move = lesson.next()

    assert move.kind is Kind.NOTHING
    assert "comes due in" in move.told
    assert move.after.place_of("late") is Place.SCHEDULED


def test_without_task_handler_or_way_nothing_is_done_and_the_reason_is_told(
    make_lesson: Make, make_session: Callable[..., Session]
) -> None:
    session, lesson = make_lesson()
    until(lesson, Kind.START)

    empty = lesson.next()
    session.enqueue("greet_high", {})
    session.pause_queue("greet_high")
    paused = lesson.next()
    other = make_session()
    other.enqueue("nobody", {})
    until(other.step("nobody"), Kind.START)
    without = other.step("nobody").next()

    assert [m.kind for m in (empty, paused, without)] == [Kind.NOTHING] * 3
    assert "enqueue one" in empty.told
    assert "%runqy resume greet_high" in paused.told
    assert "mark a function with @task" in without.told


def test_a_handler_that_is_defined_again_counts_at_once(make_lesson: Make) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"name": "Ada"})
    until(lesson, Kind.CLAIM)

    @task(queue="greet_high")
    def greet(payload: dict[str, Any]) -> str:
        return "another"

    until(lesson, Kind.ACKNOWLEDGE)

    assert session.records("greet_high", None)[0].state.value == "completed"
    assert lesson.moves[-2].lines == ()


def test_a_handler_that_ends_its_process_is_seen_to_die_and_given_back(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"dies": True}, id="deadly")
    until(lesson, Kind.CLAIM)

    died = lesson.next()

    assert died.told.startswith("The worker died while the handler ran.")
    assert "guardian gave task deadly back" in died.told
    assert redis.hget("asynq:t:deadly", "crashes") == b"1"
    assert redis.lrange(PENDING, 0, -1) == [b"deadly"]


def test_a_session_whose_own_worker_takes_the_tasks_gives_no_lesson_there(
    make_lesson: Make,
) -> None:
    session, lesson = make_lesson()
    session.start_worker("greet")

    with pytest.raises(LessonError, match="worker pause"):
        lesson.next()
    assert session.worker is not None
    session.worker.pause()

    assert lesson.next().kind is Kind.START


def test_a_lesson_goes_on_where_it_is_asked_for_again_and_ends_where_another_begins(
    make_lesson: Make,
) -> None:
    session, lesson = make_lesson()

    assert session.step("greet_high") is lesson
    other = session.step("greet_low")

    assert lesson.is_over
    assert session.lesson is other
    with pytest.raises(LessonError, match="over"):
        lesson.next()


@pytest.mark.parametrize("moves", [2, 3])
def test_stopping_gives_back_what_waits_to_run_and_writes_down_what_has_run(
    make_lesson: Make, redis: redis_py.Redis, moves: int
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"name": "Ada"}, id="ada")
    for _ in range(moves):
        lesson.next()

    told = session.stop_lesson()

    state = redis.hget("asynq:t:ada", "state")
    assert (state, "went back" in told) == (
        (b"pending", True) if moves == 2 else (b"completed", False)
    )
    assert redis.hget("asynq:t:ada", "crashes") is None
    assert redis.zcard("asynq:greet_high:lease") == 0
    assert redis.keys("asynq:workers:*") == []


def test_stopping_while_the_handler_runs_gives_its_task_back_without_blame(
    make_lesson: Make, redis: redis_py.Redis
) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"seconds": 60}, id="long")
    until(lesson, Kind.CLAIM)
    lesson.begin(Kind.CLAIM)
    wait_until(lambda: lesson.doing == "the handler runs", "it did not run")

    told = session.stop_lesson()

    assert told == "The lesson is over. Task long went back to its queue."
    assert redis.lrange(PENDING, 0, -1) == [b"long"]
    assert redis.hget("asynq:t:long", "crashes") is None


def test_a_kernel_that_dies_takes_no_task_along(make_lesson: Make, redis: redis_py.Redis) -> None:
    """The worker ends with its stdin, as when the kernel is killed; its guardian gives back."""
    session, lesson = make_lesson()
    session.enqueue("greet_high", {}, id="ada")
    until(lesson, Kind.CLAIM)
    worker = lesson._stage.worker
    assert worker is not None

    assert worker._process.stdin is not None
    worker._process.stdin.close()

    wait_until(lambda: redis.lrange(PENDING, 0, -1) == [b"ada"], "it is not back")
    wait_until(lambda: not worker.is_alive, "the worker lives on")


def test_the_server_inside_this_process_is_no_place_for_a_lesson() -> None:
    from runqy_notebook.broker.embedded import fake_client
    from runqy_notebook.broker.server import Server

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "runqy_notebook.session.open_server",
            lambda settings: Server(fake_client(), "fake", "fake", None),
        )
        with Session() as session, pytest.raises(LessonError, match="outside of this kernel"):
            session.step("greet")


def test_a_unix_socket_will_do(
    greet: None, make_session: Callable[..., Session], tmp_path: Any
) -> None:
    from tests.servers import running_server

    path = tmp_path / "redis.sock"
    with running_server(tmp_path, "--unixsocket", str(path)) as _:
        session = make_session(url=f"unix://{path}")
        session.enqueue("greet_high", {"name": "Ada"}, id="ada")
        lesson = session.step("greet_high")

        move = until(lesson, Kind.ACKNOWLEDGE)

        assert move.after.place_of("ada") is Place.COMPLETED
        assert [command.script for command in move.commands] == ["settle"]
        session.close()


def test_where_commands_are_not_shown_the_keys_still_are(
    make_lesson: Make, redis: redis_py.Redis, server: RunningServer
) -> None:
    redis.acl_setuser(  # type: ignore[no-untyped-call]
        "pupil", enabled=True, nopass=True, keys=["*"], channels=["*"],
        commands=["+@all", "-monitor", "-client|list"],
    )  # fmt: skip
    try:
        session, lesson = make_lesson(url=server.url.replace("redis://", "redis://pupil:x@"))
        session.enqueue("greet_high", {}, id="ada")

        move = until(lesson, Kind.CLAIM)

        assert move.commands == ()
        assert "monitor" in move.unheard.lower()
        assert "asynq:greet_high:lease" in {change.key for change in move.changes}
    finally:
        session.close()
        redis.acl_deluser("pupil")  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("moves", [4, 3])
def test_what_is_to_be_delivered_goes_into_the_outbox_as_with_every_worker(
    make_lesson: Make, redis: redis_py.Redis, moves: int
) -> None:
    session, lesson = make_lesson()
    session.destination("here", "http://127.0.0.1:1024/nobody")
    session.enqueue("greet_high", {"name": "Ada"}, id="ada", deliver_to="here")

    for _ in range(moves):
        lesson.next()
    session.stop_lesson()

    (row,) = redis.keys("asynq:nb:outbox:row:*")
    assert redis.hmget(row, "task_id", "to", "status") == [b"ada", b"here", b"completed"]
    assert b"Ada" in (redis.hget(row, "body") or b"")


def test_a_loader_runs_in_the_lesson_and_its_handler_is_given_what_it_made(
    make_lesson: Make,
) -> None:
    session, lesson = make_lesson()

    @load(queue="greet_high")
    def setup() -> dict[str, str]:
        return {"word": "Good morning"}

    @task(queue="greet_high")
    def greet(payload: dict[str, Any], ctx: dict[str, str]) -> str:
        return ctx["word"]

    handle = session.enqueue("greet_high", {})
    lesson.until("acknowledge")

    assert handle.result(5) == "Good morning"


def test_a_handler_that_cannot_travel_is_told_of_and_its_task_stays_claimed(
    make_lesson: Make,
) -> None:
    session, lesson = make_lesson()
    lock = threading.Lock()

    @task(queue="greet_high")
    def greet(payload: dict[str, Any]) -> None:
        lock.acquire()

    session.enqueue("greet_high", {}, id="ada")
    lesson.until("claim")

    with pytest.raises(HandlerError, match="'lock'"):
        lesson.next()
    assert "'lock'" in lesson.trouble
    assert lesson.look().place_of("ada") is Place.ACTIVE


def test_a_worker_that_somebody_else_killed_is_found_dead(make_lesson: Make) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {}, id="ada")
    lesson.until("claim")
    worker = lesson._stage.worker
    assert worker is not None
    os.kill(worker.pid, signal.SIGKILL)
    wait_until(lambda: not worker.is_alive, "it lives on")

    died = lesson.next()

    assert died.kind is Kind.DIED
    assert died.after.place_of("ada") is Place.PENDING
    assert lesson.next().kind is Kind.START


def test_strange_keys_are_looked_at_without_harm(make_lesson: Make, redis: redis_py.Redis) -> None:
    """A payload of many megabytes, a hash of another type, a list that is none."""
    session, lesson = make_lesson()
    session.enqueue("greet_high", {"name": "x" * 3_000_000}, id="large")
    redis.set("asynq:t:odd", "no hash")
    redis.lpush(PENDING, "odd")

    claimed = lesson.until("claim")
    large = [change for change in claimed.changes if change.key == "asynq:t:large"]
    lesson.until("acknowledge")
    lesson.until("claim")
    redis.delete(PENDING)
    redis.set(PENDING, "no list")
    told = lesson.next()

    assert len(str(large)) < 2_000
    assert lesson.scene.place_of("odd") is Place.ARCHIVED
    assert told.kind is Kind.NOTHING
    assert f"The key {PENDING} holds a string" in told.told
    assert redis.get(PENDING) == b"no list"


def test_moves_in_a_row_end_at_nothing_to_do(make_lesson: Make) -> None:
    session, lesson = make_lesson()
    session.enqueue("greet_high", {})

    assert lesson.until("sweep").kind is Kind.NOTHING
    session.enqueue("greet_high", {})
    with pytest.raises(LessonError, match="None of 2 moves was: sweep"):
        lesson.until("sweep", most=2)
