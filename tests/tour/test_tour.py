"""The product in twelve steps, to be read in order. Every step runs against a real server.

In a notebook the same is written as magics: `session.enqueue("inference", {...})` is
`%runqy enqueue inference {...}`, `session.pending()` is `%runqy pending`, and so on.
"""

from __future__ import annotations

import json

import pytest
from redis import Redis

from runqy_notebook import Retry, Session, load, task
from runqy_notebook.errors import TaskFailedError
from tests.waiting import wait_until


def test_01_a_session_is_a_connection_to_a_redis(session: Session) -> None:
    """Open one by its URL; without a URL it finds the local Redis, or starts one."""
    with Session(session.server.url) as mine:
        assert mine.known_queues() == []
        assert mine.worker is None


def test_02_a_task_is_a_json_object_in_a_queue(session: Session, redis: Redis) -> None:
    """Enqueueing gives a handle, and writes two keys that workers of any language read."""
    handle = session.enqueue("inference_high", {"pixels": [0, 255]})

    assert handle.state == "pending"
    assert redis.hget(f"asynq:t:{handle.id}", "payload") == b'{"pixels":[0,255]}'
    assert redis.lrange("asynq:inference_high:pending", 0, -1) == [handle.id.encode()]


def test_03_what_waits_is_a_dataframe(session: Session) -> None:
    """A row a task, the next to run first; naming a parent queue covers its sub-queues."""
    first = session.enqueue("inference_high", {"n": 1})
    second = session.enqueue("inference_high", {"n": 2})

    pending = session.pending("inference")

    assert list(pending.index) == [first.id, second.id]
    assert list(pending["queue"]) == ["inference_high", "inference_high"]
    assert [payload["n"] for payload in pending["payload"]] == [1, 2]


def test_04_a_handler_is_a_function_with_a_mark(session: Session) -> None:
    """It names its queue, and stays the function it was; its queue now has a default sub-queue."""

    @task(queue="inference")
    def classify(payload: dict[str, int]) -> str:
        return "dark" if payload["light"] < 128 else "bright"

    assert classify({"light": 3}) == "dark"
    assert session.enqueue("inference", {"light": 3}).queue == "inference_default"


def test_05_a_worker_runs_the_tasks_in_this_process(session: Session) -> None:
    """What `@load` returned, once, is handed to the handlers as their second argument."""

    @load(queue="inference")
    def setup() -> dict[str, int]:
        return {"threshold": 128}

    @task(queue="inference")
    def classify(payload: dict[str, int], ctx: dict[str, int]) -> str:
        return "dark" if payload["light"] < ctx["threshold"] else "bright"

    handle = session.enqueue("inference", {"light": 200})
    session.start_worker("inference")

    wait_until(lambda: handle.state == "completed", "the task was not run")


def test_06_the_result_comes_back_to_the_handle(session: Session) -> None:
    """Wait for it, or `await handle`; it goes from hand to hand and is stored nowhere."""

    @task(queue="inference")
    def classify(payload: dict[str, int]) -> dict[str, str]:
        return {"label": "dark" if payload["light"] < 128 else "bright"}

    session.start_worker("inference")

    handle = session.enqueue("inference", {"light": 200})

    assert handle.result(timeout=10) == {"label": "bright"}
    assert repr(handle).endswith("completed -> {'label': 'bright'}>")


def test_07_what_fails_is_tried_again_before_it_is_given_up(session: Session) -> None:
    """After `max_retry` retries the task is archived, and its error raised to whoever waits."""
    attempts = []

    @task(queue="mail", max_retry=1)
    def send(payload: dict[str, str]) -> None:
        attempts.append(payload["to"])
        if len(attempts) == 1:
            raise Retry(in_seconds=0, why="the server is busy")
        raise ValueError("no such address")

    session.start_worker("mail")

    with pytest.raises(TaskFailedError, match="ValueError: no such address"):
        session.enqueue("mail", {"to": "nobody"}).result(timeout=10)
    assert attempts == ["nobody", "nobody"]


def test_08_urgent_sub_queues_go_first(session: Session) -> None:
    """A worker for the parent serves all its sub-queues: high, then default, then low."""
    order = []

    @task(queue="mail")
    def send(payload: dict[str, str]) -> None:
        order.append(payload["to"])

    low = session.enqueue("mail_low", {"to": "everybody"})
    session.enqueue("mail", {"to": "a friend"})
    session.enqueue("mail_high", {"to": "the doctor"})
    session.start_worker("mail")

    low.wait(timeout=10)
    assert order == ["the doctor", "a friend", "everybody"]


def test_09_a_batch_is_enqueued_and_collected_at_once(session: Session) -> None:
    """A task a payload, in few round trips; the results come in the order of the payloads."""

    @task(queue="squares")
    def square(payload: dict[str, int]) -> int:
        return payload["n"] ** 2

    session.start_worker("squares", concurrency=4)

    group = session.enqueue_many("squares", ({"n": n} for n in range(100)))

    assert group.results(timeout=10) == [n**2 for n in range(100)]
    assert group[:3].states() == {"completed": 3}


def test_10_a_unique_task_is_enqueued_once(session: Session) -> None:
    """Running a cell again gives the task back that it made before, by queue and payload."""
    first = session.enqueue("report_daily", {"day": "2030-01-31"}, unique=True)
    again = session.enqueue("report_daily", {"day": "2030-01-31"}, unique=True)
    other = session.enqueue("report_daily", {"day": "2030-02-01"}, unique=True)

    assert again.id == first.id
    assert other.id != first.id
    assert len(session.pending("report")) == 2


def test_11_other_languages_enqueue_and_read_with_plain_redis(
    session: Session, redis: Redis
) -> None:
    """HSET, LPUSH, and a result to GET for an hour, where the worker is told to store it."""

    @task(queue="squares")
    def square(payload: dict[str, int]) -> dict[str, int]:
        return {"square": payload["n"] ** 2}

    session.start_worker("squares", store_results=True)

    fields = {"type": "task", "payload": '{"n": 12}', "retry": "0", "max_retry": "3"}
    redis.hset("asynq:t:my-task", mapping={**fields, "queue": "squares_high"})
    redis.lpush("asynq:squares_high:pending", "my-task")

    wait_until(lambda: redis.get("asynq:result:my-task"), "no result was stored")
    assert json.loads(redis.get("asynq:result:my-task") or b"") == {"square": 144}


def test_12_a_worker_says_what_it_does_and_stops_when_told(session: Session) -> None:
    """Stopping lets running tasks end, gives back what does not, and leaves nothing behind."""

    @task(queue="squares")
    def square(payload: dict[str, int]) -> int:
        return payload["n"] ** 2

    worker = session.start_worker("squares", concurrency=2)
    session.enqueue("squares", {"n": 3}).wait(timeout=10)

    assert (worker.status.completed, worker.status.failed) == (1, 0)
    assert list(session.workers()["queues"]) == ["squares_default"]
    assert str(session.stop_worker()) == "Worker stopped; nothing was left running."
    assert session.workers().empty
    assert list(session.queues("squares")["completed"]) == [1]
