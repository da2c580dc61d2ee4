"""A task put in and followed with redis-cli alone, as the document on enqueueing shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from runqy_notebook import Session, task
from runqy_notebook.errors import WaitTimeoutError
from tests.waiting import wait_until

PENDING = "asynq:inference_default:pending"
ACTIVE = "asynq:inference_default:active"
WRITTEN = {
    "type": "task",
    "payload": '{"input": "hello world"}',
    "retry": "0",
    "max_retry": "3",
    "queue": "inference_default",
}
TYPED = f"""\
HSET asynq:t:my-task-id type task payload '{WRITTEN["payload"]}' retry 0 max_retry 3 \
queue inference_default
LPUSH {PENDING} my-task-id
"""

RedisCli = Callable[..., str]


def put(redis_cli: RedisCli, task_id: str = "my-task-id") -> None:
    words = [word for pair in WRITTEN.items() for word in pair]
    redis_cli("HSET", f"asynq:t:{task_id}", *words)
    redis_cli("LPUSH", PENDING, task_id)


def hgetall(redis_cli: RedisCli, task_id: str = "my-task-id") -> dict[str, str]:
    lines = redis_cli("HGETALL", f"asynq:t:{task_id}").splitlines()
    return dict(zip(lines[::2], lines[1::2], strict=True))


def test_the_four_status_commands_follow_a_task(
    redis_cli: RedisCli, session: Session, gate: Any
) -> None:
    """HGETALL, both LRANGEs and GET, while it waits, while it runs and when it is done."""
    task(queue="inference")(gate)

    put(redis_cli)

    assert hgetall(redis_cli) == WRITTEN
    assert redis_cli("LRANGE", PENDING, "0", "-1") == "my-task-id"
    assert redis_cli("LRANGE", ACTIVE, "0", "-1") == ""
    assert redis_cli("GET", "asynq:result:my-task-id") == ""

    session.start_worker("inference", store_results=True)
    wait_until(lambda: gate.reached, "the task was not started")

    running = hgetall(redis_cli)
    assert running["state"] == "active"
    assert {name: running[name] for name in WRITTEN} == WRITTEN
    assert redis_cli("LRANGE", PENDING, "0", "-1") == ""
    assert redis_cli("LRANGE", ACTIVE, "0", "-1") == "my-task-id"
    assert redis_cli("GET", "asynq:result:my-task-id") == ""

    gate.open()
    wait_until(lambda: hgetall(redis_cli)["state"] == "completed", "the task was not completed")

    done = hgetall(redis_cli)
    assert {name: done[name] for name in WRITTEN} == WRITTEN
    assert redis_cli("LRANGE", PENDING, "0", "-1") == ""
    assert redis_cli("LRANGE", ACTIVE, "0", "-1") == ""
    assert json.loads(redis_cli("GET", "asynq:result:my-task-id")) == {"input": "hello world"}


def test_commands_typed_at_its_prompt_do_the_same(redis_cli: RedisCli, session: Session) -> None:
    """redis-cli takes the quotes off by rules of its own, which are not those of a shell."""
    task(queue="inference")(dict)
    session.start_worker("inference")

    answers = redis_cli(given=TYPED)

    assert answers.split() == ["5", "1"]
    assert session.wait_for_result("my-task-id", 10) == {"input": "hello world"}


def test_no_result_key_is_written_by_default(redis_cli: RedisCli, session: Session) -> None:
    task(queue="inference")(dict)
    session.start_worker("inference")

    put(redis_cli)
    wait_until(lambda: hgetall(redis_cli).get("state") == "completed", "it was not completed")

    assert redis_cli("EXISTS", "asynq:result:my-task-id") == "0"


def test_what_this_session_enqueues_reads_the_same_in_redis_cli(
    redis_cli: RedisCli, session: Session
) -> None:
    session.enqueue("inference_default", {"input": "hello world"}, id="my-task-id")

    held = hgetall(redis_cli)
    assert json.loads(held["payload"]) == {"input": "hello world"}
    assert {name: held[name] for name in WRITTEN if name != "payload"} == {
        name: text for name, text in WRITTEN.items() if name != "payload"
    }
    assert redis_cli("LRANGE", PENDING, "0", "-1") == "my-task-id"


def test_a_finished_id_that_is_put_in_again_runs_again(
    redis_cli: RedisCli, session: Session
) -> None:
    """HSET on the old hash keeps its `state` and its time to live; the list is what counts."""
    runs: list[Any] = []
    task(queue="inference")(lambda payload: runs.append(payload))
    session.start_worker("inference", store_results=True)
    put(redis_cli)
    wait_until(lambda: hgetall(redis_cli).get("state") == "completed", "it was not completed")

    put(redis_cli)

    wait_until(lambda: len(runs) == 2, "it was not run again")
    wait_until(lambda: hgetall(redis_cli).get("state") == "completed", "it was not completed")
    assert redis_cli("LRANGE", ACTIVE, "0", "-1") == ""


def test_waiting_for_an_id_that_is_put_in_again_waits_for_its_new_run(
    redis_cli: RedisCli, session: Session, gate: Any
) -> None:
    """The recipe of the document pasted a second time, same id and all."""
    handlers = iter([dict, gate])
    task(queue="inference")(lambda payload: next(handlers)(payload))
    session.start_worker("inference")
    put(redis_cli)
    first = session.task("my-task-id")
    assert first.result(10) == {"input": "hello world"}
    wait_until(lambda: hgetall(redis_cli).get("state") == "completed", "it was not completed")

    put(redis_cli)
    wait_until(lambda: gate.reached, "it was not run again")

    with pytest.raises(WaitTimeoutError):
        session.wait_for_result("my-task-id", 0.2)


@pytest.mark.parametrize("key", [PENDING, ACTIVE])
def test_a_queue_key_of_another_type_is_left_alone(
    redis_cli: RedisCli, redis: Redis, session: Session, key: str
) -> None:
    """A slip of the finger (SET for LPUSH) is told, and heals as soon as the key is deleted."""
    task(queue="inference")(dict)
    redis_cli("SET", key, "my-task-id")
    worker = session.start_worker("inference")
    if key != PENDING:
        put(redis_cli)

    wait_until(lambda: any(key in notice for notice in worker.notices), "nothing was said")
    assert redis_cli("GET", key) == "my-task-id"

    redis_cli("DEL", key)
    if key == PENDING:
        put(redis_cli)
    assert session.wait_for_result("my-task-id", 10) == {"input": "hello world"}
