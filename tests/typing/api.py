"""What type checkers say about the public API. Never run: `mypy --strict tests/typing` reads it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pandas as pd
from typing_extensions import assert_type

import runqy_notebook
from runqy_notebook import (
    CurrentTask,
    Fail,
    Retry,
    RunqyError,
    Session,
    TaskGroup,
    TaskHandle,
    connect,
    current_task,
    deliver,
    load,
    run,
    task,
)
from runqy_notebook.worker.worker import Worker


class Model:
    def predict(self, pixels: list[int]) -> str:
        return "seven"


# --- a decorated function keeps its type ------------------------------------------------------


@load
def plain_setup() -> Model:
    return Model()


@load(queue="inference")
async def setup() -> dict[str, Model]:
    return {"model": Model()}


@task
def plain(payload: dict[str, Any]) -> int:
    return len(payload)


@task(queue="inference", type="classify", max_retry=5, timeout=30, store_result=True)
def predict(payload: dict[str, Any], ctx: dict[str, Model]) -> str:
    if "pixels" not in payload:
        raise Fail("there is no picture")
    if not payload["pixels"]:
        raise Retry(in_seconds=5, why="the picture is not there yet")
    return ctx["model"].predict(payload["pixels"])


@task(queue="reports", deliver_to=["orders", "https://hooks.example/"])
def report(payload: dict[str, Any]) -> str:
    assert_type(deliver.send("orders", {"half": 1}, task_id="t1"), list[str])
    return "done"


@task(queue="mail", timeout=timedelta(minutes=1))
async def send(payload: dict[str, Any]) -> None:
    raise Retry(timedelta(seconds=5))


assert_type(plain({}), int)
assert_type(predict({}, {}), str)
assert_type(plain_setup(), Model)
only_a_mapping: Callable[[dict[str, Any]], Awaitable[None]] = send


# --- a session --------------------------------------------------------------------------------


def enqueue(session: Session) -> None:
    handle = session.enqueue("inference", {"pixels": [1, 2]}, max_retry=2, store=True)
    assert_type(handle, TaskHandle)
    assert_type(handle.id, str)
    assert_type(handle.queue, str)
    assert_type(handle.state, str)
    assert_type(handle.error, str | None)
    assert_type(handle.wait(timeout=1), TaskHandle)
    later = datetime.now(timezone.utc) + timedelta(hours=1)
    assert_type(session.enqueue("inference", {}, id="t1", at=later), TaskHandle)
    assert_type(session.enqueue("inference", {}, unique="report", delay=5), TaskHandle)
    assert_type(session.task("t1"), TaskHandle)


def enqueue_many(session: Session) -> None:
    group = session.enqueue_many("inference", ({"n": n} for n in range(3)))
    assert_type(group, TaskGroup)
    assert_type(group[0], TaskHandle)
    assert_type(group[:2], TaskGroup)
    assert_type(group[:1] + group[2:], TaskGroup)
    assert_type(group.ids, list[str])
    assert_type(group.states(), dict[str, int])
    assert_type([handle.id for handle in group], list[str])
    results: list[Any] = group.results(timeout=10, errors="return")
    assert_type(len(results), int)


async def wait(handle: TaskHandle, group: TaskGroup) -> None:
    label: str = await handle
    labels: list[str] = await group
    assert_type(label, str)
    assert_type(labels, list[str])


def work(session: Session) -> None:
    worker = session.start_worker("inference", concurrency=2, store_results=True, lease=15.0)
    session.start_worker("inference", executor="process")
    assert_type(worker, Worker)
    session.start_worker(config="config.yml")
    session.destination("orders", "https://hooks.example/", secret=["a", "b"], allow_private=True)
    session.enqueue("inference", {}, deliver_to="orders", webhook="https://hooks.example/")
    session.retry_delivery(session.deliver("orders", 1)[0])
    stopped = session.stop_worker()
    if stopped is not None:
        assert_type(stopped.released, tuple[str, ...])


def click(session: Session) -> None:
    board = session.board()
    assert_type(board.text(), str)
    assert_type(board.html(), str)
    board.close()


def control(session: Session, handle: TaskHandle, group: TaskGroup) -> None:
    assert_type(handle.cancel(), str)
    assert_type(handle.retry(), TaskHandle)
    handle.delete()
    assert_type(group.cancel(), dict[str, int])
    assert_type(session.cancel("t1"), str)
    assert_type(session.run_now("t1"), TaskHandle)
    session.delete("t1")
    assert_type(session.attach("t1"), TaskHandle)
    assert_type(session.pause_queue("inference"), list[str])
    assert_type(session.resume_queue("inference"), list[str])
    assert_type(session.purge("inference", "archived"), int)


def look(session: Session) -> None:
    assert_type(session.map(pd.DataFrame(), "inference", ["n"], name="mine"), pd.DataFrame)
    assert_type(session.map(pd.Series([1]), "inference", errors="raise"), pd.DataFrame)
    assert_type(session.history("inference", limit=10, flatten=False), pd.DataFrame)
    assert_type(session.pending("inference", limit=10), pd.DataFrame)
    assert_type(session.active(), pd.DataFrame)
    assert_type(session.tasks("inference", state="archived"), pd.DataFrame)
    assert_type(session.queues(), pd.DataFrame)
    assert_type(session.workers(), pd.DataFrame)
    assert_type(session.deliveries(limit=10), pd.DataFrame)


def script() -> None:
    with Session("redis://localhost:6379/0", concurrency=4, store_results=True) as session:
        label: str = session.wait_for_result("t1", timeout=30)
        assert_type(label, str)
    assert_type(connect(), Session)
    run("inference", concurrency=2)


@task(queue="training")
def train(payload: dict[str, int]) -> None:
    job = current_task()
    assert_type(job, CurrentTask)
    assert_type(job.cancelled, bool)
    job.progress(1, payload["epochs"], note="loss")
    job.progress("1")  # type: ignore[arg-type]


def mistakes(session: Session) -> None:
    """Each of these is one; mypy says so where an ignore is no longer needed."""
    session.enqueue(5, {})  # type: ignore[arg-type]
    session.enqueue("inference")  # type: ignore[call-arg]
    task("inference")  # type: ignore[call-overload]
    task(queues="inference")  # type: ignore[call-overload]
    task(max_retry="3")  # type: ignore[call-overload]
    load(timeout=30)  # type: ignore[call-overload]
    try:
        session.enqueue("inference", {})
    except runqy_notebook.RunqyError as error:
        assert_type(error, RunqyError)
