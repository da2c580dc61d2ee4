"""Handlers in an executor that the user lends: threads, processes, Dask."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Fail, current_task
from runqy_notebook.errors import HandlerError, RunqyNotice
from runqy_notebook.events import Events
from runqy_notebook.session import Session
from runqy_notebook.tasks import task
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome
from tests.broking import field, push
from tests.waiting import wait_until
from tests.working import add, add_loader, new_worker, registry_of, told, working


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as made:
        yield made


class Ended:
    """What became of tasks, and what was said before, by id."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.events: list[Event] = []
        self.hub = Events()
        self.hub.subscribe(self.events.append)

    def __call__(self, outcome: Outcome) -> None:
        self.outcomes[outcome.task.id] = outcome

    def wait(self, *ids: str) -> None:
        def is_over(task_id: str) -> bool:
            return isinstance(self.outcomes.get(task_id), (Completed, Archived))

        wait_until(lambda: all(map(is_over, ids)), f"{ids} did not end: {self.outcomes}", 20)

    def value(self, task_id: str) -> Any:
        outcome = self.outcomes[task_id]
        assert isinstance(outcome, Completed), outcome
        return outcome.value

    def error(self, task_id: str) -> str:
        outcome = self.outcomes[task_id]
        assert isinstance(outcome, Archived), outcome
        return outcome.error

    def lines(self, task_id: str) -> list[str]:
        logs = [e for e in self.events if e.task_id == task_id and e.kind is Kind.LOG]
        return [line for event in logs for line in event.lines]


@pytest.fixture
def ended() -> Ended:
    return Ended()


class Unreadable:
    """Can be sent, and not be read where it arrives."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("no number",)


def test_values_errors_contexts_and_words_come_back_from_a_pool_of_processes(
    redis: redis_py.Redis, url: str, pool: ProcessPoolExecutor, ended: Ended
) -> None:
    def load() -> dict[str, Any]:
        return {"pid": os.getpid(), "runs": 0}

    def handler(payload: dict[str, Any], ctx: dict[str, Any]) -> Any:
        print(current_task().id, "printed")
        current_task().progress(1, 2)
        if payload["kind"] == "fails":
            raise ValueError("broken")
        if payload["kind"] == "gives up":
            raise Fail("no such image")
        if payload["kind"] == "unsendable":
            return threading.Lock()
        ctx["runs"] += 1
        return ctx["pid"] == os.getpid() != payload["kernel"], ctx["runs"]

    kinds = ("fails", "gives up", "unsendable", "one", "two", "three")
    for kind in kinds:
        payload = json.dumps({"kind": kind, "kernel": os.getpid()})
        push(redis, kind, payload=payload, max_retry="0" if kind == "fails" else "3")
    registry = registry_of(handler)
    add_loader(registry, load)
    with working(url, registry, executor=pool, on_outcome=ended, events=ended.hub, concurrency=2):
        ended.wait(*kinds)

    found = [ended.value(kind) for kind in ("one", "two", "three")]
    assert all(is_there for is_there, _ in found)
    assert max(runs for _, runs in found) >= 2  # three tasks, two processes, a context each
    assert ended.error("fails") == "ValueError: broken"
    outcome = ended.outcomes["fails"]
    assert isinstance(outcome, Archived)
    assert 'raise ValueError("broken")' in outcome.traceback_text
    assert ended.error("gives up") == "no such image"
    assert ended.error("unsendable").startswith("its result cannot be sent back: TypeError")
    for kind in kinds:
        assert ended.lines(kind) == [f"{kind} printed"]


def test_threads_of_an_executor_need_nothing_to_be_sent(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    lock = threading.Lock()

    async def handler(payload: object) -> str:
        with lock:
            print("printed")
            return threading.current_thread().name

    push(redis, "t1")
    with (
        ThreadPoolExecutor(1, "theirs") as threads,
        working(
            url, registry_of(handler), executor=threads, on_outcome=ended, events=ended.hub
        ) as worker,
    ):
        ended.wait("t1")
        assert worker.status.executor == "ThreadPoolExecutor"

    assert ended.value("t1").startswith("theirs")
    assert ended.lines("t1") == ["printed"]


def test_a_task_past_its_time_limit_is_taken_from_its_executor(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    go = threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        if payload.get("waits"):
            go.wait(20)

    push(redis, "waits", payload='{"waits": true}', timeout="0.2", max_retry="0")
    push(redis, "after")
    with ThreadPoolExecutor(2) as threads:
        with working(url, registry_of(handler), executor=threads, on_outcome=ended) as worker:
            ended.wait("waits", "after")
            assert worker.status.abandoned == 0
        go.set()

    assert ended.error("waits") == "timed out after 0.2 s"


def test_a_pool_that_breaks_blames_nobody_and_its_tasks_are_done_elsewhere(
    redis: redis_py.Redis, url: str, ended: Ended, tmp_path: Path
) -> None:
    sign = str(tmp_path / "sign")

    def handler(payload: object) -> None:
        if current_task().id == "killer":
            while not os.path.exists(sign):
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGKILL)
        if not os.path.exists(sign):
            with open(sign, "w"):
                time.sleep(60)  # until it is taken along

    push(redis, "killer")
    push(redis, "neighbour")
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as broken:
        # CPython 3.11's pool does not watch the process that it started last before the next call.
        for warm in [broken.submit(time.sleep, 0.3) for _ in range(2)]:
            warm.result()
        worker = new_worker(
            url, registry_of(handler), executor=broken, on_outcome=ended, concurrency=2
        )
        worker.start()
        wait_until(lambda: worker.is_paused, "not paused", 20)
        push(redis, "later")
        worker.stop()
    losses = [field(redis, name, "losses") for name in ("killer", "neighbour")]
    crashes = [field(redis, name, "crashes") for name in ("killer", "neighbour")]
    with working(url, registry_of(handler), on_outcome=ended):
        ended.wait("neighbour", "later")
        wait_until(lambda: field(redis, "killer", "state") == b"archived", "not archived")

    assert (losses, crashes) == ([b"1", b"1"], [None, None])
    assert told(worker, "ProcessPoolExecutor takes no more tasks")
    assert field(redis, "neighbour", "crashes") is None
    assert field(redis, "killer", "error_msg") == b"killed its worker 3 times"


def test_a_handler_that_cannot_be_sent_to_a_pool_is_named(
    redis: redis_py.Redis, url: str, pool: ProcessPoolExecutor
) -> None:
    lock = threading.Lock()

    def handler(payload: object) -> None:
        lock.acquire()

    worker = new_worker(url, registry_of(handler), executor=pool)

    with pytest.raises(HandlerError, match=r"uses 'lock' \(a lock\)"):
        worker.start()


def test_a_session_takes_an_executor_and_leaves_it_running(session: Session) -> None:
    task(queue="q")(lambda payload: payload["x"] + 1)
    with ThreadPoolExecutor(1) as threads:
        worker = session.start_worker("q", executor=threads)
        assert session.enqueue("q", {"x": 1}).result(10) == 2
        with pytest.warns(RunqyNotice, match="keeps its executor"):
            session.start_worker("q", executor="process")
        session.stop_worker()

        assert worker.status.executor == "ThreadPoolExecutor"
        assert threads.submit(int, "7").result(5) == 7


def test_handlers_run_on_dask(redis: redis_py.Redis, url: str, ended: Ended) -> None:
    distributed: Any = pytest.importorskip("distributed")

    def handler(payload: dict[str, Any]) -> int:
        print("printed there")
        return os.getpid()

    push(redis, "t1")
    with (
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        working(
            url,
            registry_of(handler),
            executor=client.get_executor(pure=False),
            on_outcome=ended,
            events=ended.hub,
        ) as worker,
    ):
        ended.wait("t1")
        assert worker.status.executor == "ClientExecutor"

    assert ended.value("t1") != os.getpid()
    assert ended.lines("t1") == ["printed there"]


def test_a_value_that_cannot_be_read_here_fails_its_task_at_once(
    redis: redis_py.Redis, url: str, pool: ProcessPoolExecutor, ended: Ended
) -> None:
    value = [Unreadable]

    push(redis, "t1", max_retry="3")
    with working(url, registry_of(lambda payload: value[0]()), executor=pool, on_outcome=ended):
        ended.wait("t1")

    assert ended.error("t1").startswith("its result cannot be read here: ValueError")


def test_an_error_that_cannot_be_sent_is_told_in_words(
    redis: redis_py.Redis, url: str, pool: ProcessPoolExecutor, ended: Ended
) -> None:
    def handler(payload: object) -> None:
        raise ValueError(threading.Lock())

    push(redis, "t1", max_retry="0")
    with working(url, registry_of(handler), executor=pool, on_outcome=ended):
        ended.wait("t1")

    assert ended.error("t1").startswith("ValueError: <unlocked _thread.lock")


def test_a_task_that_is_cancelled_is_taken_from_its_executor(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    has_begun, go = threading.Event(), threading.Event()

    def handler(payload: object) -> None:
        has_begun.set()
        go.wait(20)

    push(redis, "t1")
    with ThreadPoolExecutor(1) as threads:
        with working(
            url, registry_of(handler), executor=threads, on_outcome=ended, lease=1.0
        ) as worker:
            assert has_begun.wait(10)
            redis.hset("asynq:t:t1", "cancel", "1")
            ended.wait("t1")
            assert worker.status.abandoned == 0
        go.set()

    assert ended.error("t1") == "cancelled"


def test_a_handler_that_can_no_longer_be_sent_keeps_its_tasks_waiting(
    redis: redis_py.Redis, url: str, pool: ProcessPoolExecutor, ended: Ended
) -> None:
    def handler_with(lock: Any) -> Any:
        return lambda payload: f"fine with {lock}"

    registry = registry_of(handler_with(1))
    with working(url, registry, executor=pool, on_outcome=ended) as worker:
        add(registry, handler_with(threading.Lock()))
        wait_until(lambda: told(worker, "uses 'lock' (a lock). Its queues wait"), "not told")
        push(redis, "t1")
        add(registry, handler_with(2))
        ended.wait("t1")

    assert ended.value("t1") == "fine with 2"


def test_tasks_that_an_executor_takes_no_more_wait_for_another_one(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    threads = ThreadPoolExecutor(1)
    with working(url, registry_of(lambda payload: 7), executor=threads, on_outcome=ended) as worker:
        threads.shutdown()
        push(redis, "t1")
        wait_until(lambda: told(worker, "ThreadPoolExecutor takes no more tasks"), "not told")
        assert worker.is_paused
    assert field(redis, "t1", "state") == b"pending"
    assert field(redis, "t1", "crashes") is None

    with working(url, registry_of(lambda payload: 7), on_outcome=ended):
        ended.wait("t1")


def test_a_task_that_its_executor_cancels_is_a_failed_attempt(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    has_begun, go = threading.Event(), threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        has_begun.set()
        go.wait(20)

    threads = ThreadPoolExecutor(1)
    threads.submit(handler, {})
    assert has_begun.wait(10)
    push(redis, "t1", max_retry="0")
    with working(url, registry_of(handler), executor=threads, on_outcome=ended):
        wait_until(lambda: threads._work_queue.qsize() == 1, "not submitted")
        threads.shutdown(wait=False, cancel_futures=True)
        ended.wait("t1")
        go.set()

    assert ended.error("t1") == "its executor cancelled it"


def test_a_task_that_kills_dasks_workers_is_the_one_to_blame(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    distributed: Any = pytest.importorskip("distributed")
    dask: Any = pytest.importorskip("dask")

    push(redis, "t1")
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
        working(
            url,
            registry_of(lambda payload: os._exit(7)),
            executor=client.get_executor(pure=False),
            on_outcome=ended,
        ),
    ):
        wait_until(lambda: field(redis, "t1", "state") == b"archived", "not archived", 30)

    assert field(redis, "t1", "error_msg") == b"killed its worker 3 times"
