"""The same two calls from four languages: HSET asynq:t:ID, LPUSH asynq:QUEUE:pending."""

from __future__ import annotations

import json
from typing import Any

from redis import Redis

from runqy_notebook import Session, task
from tests.interop import foreign
from tests.interop.conftest import Producer
from tests.waiting import wait_until

WRITES = ("HSET", "HMSET", "LPUSH", "RPUSH", "MULTI", "EXEC", "SET")  # connecting sends others
PAYLOAD = {
    "text": 'Grüße <b>& "Zeichen"</b> \\ \u2028 🎉',
    "whole": 3,
    "part": 2.5,
    "largest": 2**53 - 1,
    "nothing": None,
    "yes": True,
    "list": [1, ["a", {}]],
    "inner": {"": "no name"},
}


def test_one_hset_and_then_one_lpush_are_sent(produce: Producer, redis: Redis) -> None:
    """The sequence on the wire that every other test of a language stands on."""
    with redis.monitor() as monitor:
        task_id = produce("inference_default", {"input": "hello world"})

        sent: list[list[str]] = []
        while not sent or sent[-1][0] != "LPUSH":
            command, *words = monitor.next_command()["command"].split()
            if command.upper() in WRITES:
                sent.append([command.upper(), *words[:1]])

    assert sent == [["HSET", f"asynq:t:{task_id}"], ["LPUSH", "asynq:inference_default:pending"]]
    assert redis.lrange("asynq:inference_default:pending", 0, -1) == [task_id.encode()]
    held = foreign.fields(redis, task_id)
    assert json.loads(held.pop("payload")) == {"input": "hello world"}
    assert held == {"type": "task", "retry": "0", "max_retry": "3", "queue": "inference_default"}


def test_a_task_of_any_language_runs(produce: Producer, session: Session, redis: Redis) -> None:
    """The payload arrives as it was meant; what the producer wrote stays as it was."""
    seen: list[Any] = []
    task(queue="inference")(lambda payload: seen.append(payload) or {"n": len(payload)})
    task_id = produce("inference_default", PAYLOAD, max_retry=7)
    written = foreign.fields(redis, task_id)

    session.start_worker("inference", store_results=True)

    assert foreign.poll_result(redis, task_id) == {"n": len(PAYLOAD)}
    assert seen == [PAYLOAD]
    held = foreign.fields(redis, task_id)
    assert held["state"] == "completed"
    assert {name: held[name] for name in written} == written
    assert session.wait_for_result(task_id) == {"n": len(PAYLOAD)}


def test_a_failing_task_gets_the_retries_its_producer_allowed(
    produce: Producer, make_session: Any, redis: Redis
) -> None:
    attempts: list[Any] = []

    @task(queue="inference", max_retry=9)
    def fail(payload: dict) -> None:
        attempts.append(payload)
        raise ValueError("no such label")

    make_session(retry_delay=0).start_worker("inference")
    task_id = produce("inference_low", {"input": 1}, max_retry=1)

    wait_until(lambda: foreign.state(redis, task_id) == "archived", "it was not archived")
    assert attempts == [{"input": 1}] * 2
    held = foreign.fields(redis, task_id)
    assert (held["retry"], held["max_retry"]) == ("1", "1")
    assert held["error_msg"] == "ValueError: no such label"
