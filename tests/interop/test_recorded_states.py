"""Our end states beside those recorded from runqy's own worker in the documented layout.

RECORDED are facts of those recordings (worker of 2026-01): what its hash fields read once a task
was through. A reader written against that worker finds the same in what ours leaves behind; the
fields that we add are none of its business.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import pytest
from redis import Redis

from runqy_notebook import Fail, Retry, Session, task
from tests.interop import foreign
from tests.waiting import wait_until

QUEUE = "inference_default"
RECORDED: dict[str, dict[str, str]] = {
    "completed": {
        "type": "task",
        "payload": '{"input": "hello", "sleep": 1}',
        "retry": "0",
        "max_retry": "3",
        "queue": QUEUE,
        "state": "completed",
    },
    "archived without retries": {
        "type": "task",
        "payload": '{"do":"fail","error":"kaboom"}',
        "retry": "0",
        "max_retry": "0",
        "queue": QUEUE,
        "state": "archived",
    },
    "to be retried": {
        "type": "task",
        "payload": '{"do":"fail","error":"kaboom"}',
        "retry": "1",
        "max_retry": "2",
        "queue": QUEUE,
        "state": "retry",
    },
    "archived after its retry": {
        "type": "task",
        "payload": '{"fail":"later"}',
        "retry": "1",
        "max_retry": "1",
        "queue": QUEUE,
        "state": "archived",
    },
}
HEARTBEAT = {
    "concurrency": "1",
    "healthy": "1",
    "last_beat": "1795304851",
    "queues": "map[inference:default:1 inference_default:1 raw:default:1]",
    "started_at": "1795304851",
    "status": "running",
    "worker_id": "vm:11300",
}
PAYLOADS = {  # recorded: each reached the handler as a value and completed
    '"just a string"': "just a string",
    '["a"]': ["a"],
    "42": 42,
    "null": None,
}


def put_recorded(redis: Redis, case: str) -> str:
    """Puts the recorded task in as its producer did, by the name of how it ended."""
    wanted = RECORDED[case]
    foreign.write_hash(redis, "t1", QUEUE, wanted["payload"], int(wanted["max_retry"]))
    foreign.push(redis, "t1", QUEUE)
    return "t1"


def wait_for_state(redis: Redis, task_id: str, state: str) -> None:
    wait_until(
        lambda: foreign.state(redis, task_id) == state,
        f"{task_id} is {foreign.state(redis, task_id)}, not {state}",
    )


def recorded_part(redis: Redis, task_id: str) -> dict[str, str]:
    """Those fields of the hash that runqy's worker knows."""
    held = foreign.fields(redis, task_id)
    return {name: held[name] for name in RECORDED["completed"]}


def test_a_completed_task_reads_as_recorded(redis: Redis, session: Session) -> None:
    task(queue="inference")(lambda payload: {"echo": payload, "pid": 11503})
    session.start_worker("inference", store_results=True)

    task_id = put_recorded(redis, "completed")
    wait_for_state(redis, task_id, "completed")

    assert recorded_part(redis, task_id) == RECORDED["completed"]
    assert redis.type(f"asynq:result:{task_id}") == b"string"
    stored = json.loads(redis.get(f"asynq:result:{task_id}"))
    assert stored == {"echo": {"input": "hello", "sleep": 1}, "pid": 11503}
    assert redis.exists(f"asynq:{QUEUE}:pending", f"asynq:{QUEUE}:active") == 0


def test_a_running_task_reads_as_recorded(redis: Redis, session: Session, gate: Any) -> None:
    task(queue="inference")(gate)
    session.start_worker("inference")

    task_id = put_recorded(redis, "completed")
    wait_until(lambda: gate.reached, "the task was not started")

    assert recorded_part(redis, task_id) == {**RECORDED["completed"], "state": "active"}
    assert redis.lrange(f"asynq:{QUEUE}:active", 0, -1) == [task_id.encode()]


def test_a_handler_that_returns_nothing_leaves_the_text_null(
    redis: Redis, session: Session
) -> None:
    task(queue="inference")(lambda payload: None)
    session.start_worker("inference", store_results=True)

    task_id = put_recorded(redis, "completed")
    wait_for_state(redis, task_id, "completed")

    assert redis.get(f"asynq:result:{task_id}") == b"null"


def test_a_task_without_retries_is_archived_as_recorded(redis: Redis, session: Session) -> None:
    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise RuntimeError(payload["error"])

    session.start_worker("inference", store_results=True)

    task_id = put_recorded(redis, "archived without retries")
    wait_for_state(redis, task_id, "archived")

    assert recorded_part(redis, task_id) == RECORDED["archived without retries"]
    assert redis.exists(f"asynq:result:{task_id}") == 0
    assert redis.exists(f"asynq:{QUEUE}:pending", f"asynq:{QUEUE}:active") == 0


def test_a_task_that_waits_for_its_retry_reads_as_recorded(redis: Redis, session: Session) -> None:
    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise Retry(in_seconds=60, why=payload["error"])

    session.start_worker("inference")

    task_id = put_recorded(redis, "to be retried")
    wait_for_state(redis, task_id, "retry")

    assert recorded_part(redis, task_id) == RECORDED["to be retried"]
    assert redis.exists(f"asynq:{QUEUE}:pending", f"asynq:{QUEUE}:active") == 0


def test_a_task_whose_retry_failed_too_is_archived_as_recorded(
    redis: Redis, session: Session
) -> None:
    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise Retry(in_seconds=0, why=payload["fail"])

    session.start_worker("inference")

    task_id = put_recorded(redis, "archived after its retry")
    wait_for_state(redis, task_id, "archived")

    assert recorded_part(redis, task_id) == RECORDED["archived after its retry"]


def test_a_handler_that_gives_up_archives_at_once(redis: Redis, session: Session) -> None:
    """Whatever retries are left: `retry` counts attempts that were made, not those given up."""

    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise Fail("no such image")

    session.start_worker("inference")

    task_id = put_recorded(redis, "completed")
    wait_for_state(redis, task_id, "archived")

    assert recorded_part(redis, task_id) == {**RECORDED["completed"], "state": "archived"}


@pytest.mark.parametrize(("payload", "value"), PAYLOADS.items(), ids=PAYLOADS)
def test_payloads_that_are_no_objects_reach_the_handler_as_recorded(
    redis: Redis, session: Session, payload: str, value: Any
) -> None:
    task(queue="inference")(lambda payload: {"payload": payload})
    session.start_worker("inference", store_results=True)

    foreign.write_hash(redis, "s1", QUEUE, payload)
    foreign.push(redis, "s1", QUEUE)

    assert foreign.poll_result(redis, "s1") == {"payload": value}
    wait_for_state(redis, "s1", "completed")
    assert foreign.fields(redis, "s1")["payload"] == payload


def test_the_heartbeat_has_the_recorded_fields(redis: Redis, make_session: Any) -> None:
    """As the monitoring document reads it: `asynq:workers:HOST:PID...`, for 30 s."""
    task(queue="inference")(lambda payload: payload)
    worker = make_session().start_worker("inference", concurrency=3)

    key = f"asynq:workers:{worker.id}"
    beat = {k.decode(): v.decode() for k, v in redis.hgetall(key).items()}

    assert set(HEARTBEAT) <= set(beat)
    assert worker.id.startswith(f"{socket.gethostname()}:{os.getpid()}")
    assert beat["worker_id"] == worker.id
    assert (beat["concurrency"], beat["status"], beat["healthy"]) == ("3", "running", "1")
    assert "inference_default" in beat["queues"]
    now = redis.time()[0]
    assert now - 10 <= int(beat["started_at"]) <= int(beat["last_beat"]) <= now
    assert 0 < redis.ttl(key) <= 30


def test_the_heartbeat_is_renewed_while_the_worker_lives(redis: Redis, session: Session) -> None:
    task(queue="inference")(lambda payload: payload)
    worker = session.start_worker("inference")
    key = f"asynq:workers:{worker.id}"
    redis.expire(key, 2)

    wait_until(lambda: redis.ttl(key) > 20, "the heartbeat was not renewed", 15)

    session.stop_worker()
    assert redis.exists(key) == 0


@pytest.mark.parametrize("kind", ["missing", "set", "zset"])
def test_the_list_of_foreign_workers_is_never_written(
    redis: Redis, session: Session, kind: str
) -> None:
    """Whoever makes `asynq:workers` fixes its type, and the other layout's workers need another."""
    if kind == "set":
        redis.sadd("asynq:workers", "vm:11300")
    elif kind == "zset":
        redis.zadd("asynq:workers", {"vm:11300": 1795304851})
    before = redis.dump("asynq:workers")
    task(queue="inference")(lambda payload: payload)

    session.start_worker("inference")
    assert session.enqueue("inference", {"n": 1}).result(5) == {"n": 1}
    assert len(session.workers()) == (1 if kind == "missing" else 2)
    session.stop_worker()

    assert redis.dump("asynq:workers") == before
