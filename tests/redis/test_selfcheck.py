"""Why nothing happens, asked of a session: the worker here, its kernel, and times to come."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, load, selfcheck, task
from runqy_notebook.broker.findings import Finding, Kind
from tests.servers import running_server
from tests.waiting import wait_until


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    opened = threading.Event()
    yield opened
    opened.set()


def found(session: Session, kind: Kind) -> list[Finding]:
    return [finding for finding in session.doctor(patience=0) if finding.kind is kind]


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_where_all_is_well_nothing_is_found(session: Session) -> None:
    task(queue="q")(lambda payload: None)
    session.start_worker("q")
    session.enqueue("q", {}).wait(timeout=10)

    assert [f for f in session.doctor(patience=0) if f.kind is not Kind.SERVER] == []


def test_a_redis_that_does_not_answer_is_a_finding(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        session = Session(server.url)
    with session:
        finding = only(found(session, Kind.SERVER))

    assert server.url in finding.what
    assert not finding.is_note
    assert finding.remedy


def test_a_paused_worker_is_told_with_what_waits(session: Session) -> None:
    task(queue="q")(lambda payload: None)
    session.start_worker("q").pause()
    session.enqueue_many("q", [{}, {}])

    finding = only(found(session, Kind.WORKER))

    assert finding.what == "The worker is paused: it claims nothing; 2 tasks waiting."
    assert finding.remedy == "%runqy worker resume"
    session.worker and session.worker.resume()
    wait_until(lambda: not found(session, Kind.WORKER), "it is told still")


def test_a_paused_queue_is_told_with_its_remedy(session: Session) -> None:
    session.enqueue("q_high", {})
    session.pause_queue("q_high")

    finding = only(found(session, Kind.PAUSED))

    assert finding.remedy == "%runqy resume q_high"


def test_a_handler_for_a_name_like_it_is_offered(session: Session) -> None:
    task(queue="inferense")(lambda payload: None)
    session.start_worker("inference")
    session.enqueue("inference", {})

    finding = only(found(session, Kind.NO_HANDLER))

    assert "The worker has no handler for inference_default" in finding.what
    assert finding.what.endswith("Did you mean 'inferense'?")


def test_a_type_without_a_handler_is_told(session: Session) -> None:
    task(queue="q", type="resize")(lambda payload: None)
    session.start_worker("q", retry_delay=60)
    session.enqueue("q", {}, type="resise")
    wait_until(lambda: len(session.tasks(state="retry")), "it was not tried")

    finding = only(found(session, Kind.NO_HANDLER))

    assert "No handler for tasks of type 'resise' in q_default: 1 task will fail." in finding.what
    assert finding.what.endswith("Handlers there are for: resize. Did you mean 'resize'?")
    assert finding.remedy == "Mark a function with @task('q', type='resise')."


def test_a_loader_that_raised_is_told(session: Session) -> None:
    task(queue="q")(lambda payload: None)
    session.start_worker("q")

    @load(queue="q")
    def setup() -> None:
        raise FileNotFoundError("model.bin")

    wait_until(lambda: found(session, Kind.WORKER), "the loader was not run")
    finding = only(found(session, Kind.WORKER))

    assert "The @load function 'test_a_loader" in finding.what
    assert "raised FileNotFoundError('model.bin')" in finding.what


def test_busy_slots_are_told_where_tasks_wait_for_them(
    session: Session, gate: threading.Event
) -> None:
    task(queue="q")(lambda payload: gate.wait() and None)
    session.start_worker("q")
    session.enqueue("q", {}, id="long")
    wait_until(lambda: session.worker and session.worker.held(), "it was not started")
    assert found(session, Kind.WORKER) == []
    session.enqueue("q", {})

    finding = only(found(session, Kind.WORKER))

    told = r"The slot is busy, the longest with task 'long' for \d s; 1 task"
    assert re.match(told, finding.what)
    assert finding.remedy == "%runqy worker start q --concurrency 2, or %runqy cancel long."
    assert finding.is_note  # it may well be done in a moment
    gate.set()


def test_handlers_left_behind_are_told(
    make_session: Callable[..., Session], gate: threading.Event
) -> None:
    task(queue="q")(lambda payload: gate.wait() and None)
    session = make_session(cancel_grace=0)
    worker = session.start_worker("q")
    handle = session.enqueue("q", {})
    wait_until(worker.held, "it was not started")
    handle.cancel()
    wait_until(lambda: worker.status.abandoned, "it was not given up")

    finding = only(found(session, Kind.WORKER))

    assert finding.what.startswith("1 handler(s), cancelled or past their time limit")
    assert finding.is_note
    gate.set()


@pytest.mark.parametrize("state", ["scheduled", "retry"])
def test_what_waits_for_its_time_is_told_with_the_next_one(
    session: Session, redis: redis_py.Redis, state: str
) -> None:
    session.enqueue("q", {}, id="last", delay=600)
    session.enqueue("q", {}, id="next", delay=300)
    if state == "retry":
        redis.rename("asynq:q:scheduled", "asynq:q:retry")

    finding = only(found(session, Kind.LATER))

    assert finding.what.startswith("2 tasks of q waiting for a time to come; the first is due in ")
    assert finding.remedy == "%runqy run next makes it the next to run."
    assert finding.is_note
    session.enqueue("q", {})
    assert found(session, Kind.LATER) == []


@pytest.mark.parametrize(
    ("version", "is_unfit"), [("7.0.1", True), ("6.29.5", False), ("7.1.0", False), ("", False)]
)
def test_an_unfit_kernel_is_told(version: str, is_unfit: bool) -> None:
    findings: list[Any] = list(selfcheck.of_kernel({"ipykernel": version}))

    assert [f"ipykernel {version}" in finding.what for finding in findings] == [True] * is_unfit


def test_a_handler_that_held_pythons_lock_is_told(session: Session) -> None:
    task(queue="q")(lambda payload: None)
    worker = session.start_worker("q")

    worker.starvation.longest["crunch"] = 4.2

    finding = only(found(session, Kind.STARVED))
    assert "The handler 'crunch' held Python's lock for 4.2 s" in finding.what
    assert "%runqy worker start q --executor process" in finding.remedy
