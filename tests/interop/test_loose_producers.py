"""Producers as they are: calls in the wrong order, fields left out or added, names spelled by
whichever document was read, JSON as other languages write it.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest
from redis import Redis

from runqy_notebook import Session, task
from tests.interop import foreign
from tests.waiting import wait_until

QUEUE = "inference_default"


def test_a_hash_written_200_ms_after_the_push_is_waited_for(redis: Redis, session: Session) -> None:
    task(queue="inference")(lambda payload: payload)
    session.start_worker("inference", store_results=True)

    foreign.push(redis, "t1", QUEUE)
    late = threading.Timer(0.2, lambda: foreign.write_hash(redis, "t1", QUEUE, '{"n": 1}'))
    late.start()

    assert foreign.poll_result(redis, "t1") == {"n": 1}
    late.join()
    wait_until(lambda: foreign.state(redis, "t1") == "completed", "it was not completed")


def test_many_late_hashes_run_once_each(redis: Redis, session: Session) -> None:
    """All pushes first, then all hashes, while four slots are looking."""
    runs: list[int] = []
    task(queue="inference")(lambda payload: runs.append(payload["n"]))
    session.start_worker("inference", concurrency=4)

    for n in range(30):
        foreign.push(redis, f"t{n}", QUEUE)
    wait_until(lambda: redis.llen(f"asynq:{QUEUE}:pending") == 0, "the ids were not looked at")
    for n in range(30):
        foreign.write_hash(redis, f"t{n}", QUEUE, f'{{"n": {n}}}')

    wait_until(lambda: len(runs) >= 30, "not all were run")
    wait_until(
        lambda: all(foreign.state(redis, f"t{n}") == "completed" for n in range(30)),
        "not all were completed",
    )
    assert sorted(runs) == list(range(30))


def test_a_hash_that_never_comes_ends_in_the_archive(redis: Redis, session: Session) -> None:
    """With the reason, and without keeping others from running."""
    task(queue="inference")(lambda payload: payload)
    worker = session.start_worker("inference", store_results=True)

    foreign.push(redis, "lost", QUEUE)
    task_id = foreign.put(redis, QUEUE, {"n": 1})

    assert foreign.poll_result(redis, task_id) == {"n": 1}
    wait_until(lambda: foreign.state(redis, "lost") == "archived", "it was not archived")
    assert "no task hash" in foreign.fields(redis, "lost")["error_msg"]
    wait_until(lambda: any("lost" in notice for notice in worker.notices), "nothing was said")


def test_a_payload_is_all_that_a_task_needs(redis: Redis, session: Session) -> None:
    task(queue="inference")(lambda payload: payload)
    session.start_worker("inference", store_results=True)

    redis.hset("asynq:t:t1", "payload", '{"n": 1}')
    foreign.push(redis, "t1", QUEUE)

    assert foreign.poll_result(redis, "t1") == {"n": 1}
    wait_until(lambda: foreign.state(redis, "t1") == "completed", "it was not completed")


def test_a_task_that_names_no_max_retry_gets_none(redis: Redis, session: Session) -> None:
    """As the foreign worker reads it: a missing number is 0."""

    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise ValueError("once is enough")

    session.start_worker("inference")
    redis.hset("asynq:t:t1", "payload", "{}")
    foreign.push(redis, "t1", QUEUE)

    wait_until(lambda: foreign.state(redis, "t1") == "archived", "it was not archived")
    assert foreign.fields(redis, "t1")["error_msg"] == "ValueError: once is enough"
    assert foreign.fields(redis, "t1").get("retry", "0") == "0"


@pytest.mark.parametrize("without", [None, "type", "retry", "max_retry", "queue"])
def test_fields_that_nobody_knows_are_kept(
    redis: Redis, session: Session, without: str | None
) -> None:
    task(queue="inference")(lambda payload: payload)
    session.start_worker("inference", store_results=True)

    foreign.write_hash(redis, "t1", QUEUE, '{"n": 1}')
    if without:
        redis.hdel("asynq:t:t1", without)
    redis.hset("asynq:t:t1", mapping={"tenant": "ü", b"\xff": b"\x00\xff", "Payload": "no"})
    foreign.push(redis, "t1", QUEUE)

    assert foreign.poll_result(redis, "t1") == {"n": 1}
    assert redis.hmget("asynq:t:t1", "tenant", b"\xff", "Payload") == [
        "ü".encode(),
        b"\x00\xff",
        b"no",
    ]


@pytest.mark.parametrize(
    "retry", ["", "-1", "three", "1e3", "99999999999999999999", "\N{ARABIC-INDIC DIGIT ONE}"]
)
def test_a_retry_count_that_is_none_does_no_harm(
    redis: Redis, session: Session, retry: str
) -> None:
    @task(queue="inference")
    def fail(payload: dict) -> None:
        raise ValueError("bad luck")

    session.start_worker("inference")
    foreign.write_hash(redis, "t1", QUEUE, "{}", max_retry=0)
    redis.hset("asynq:t:t1", "retry", retry)
    foreign.push(redis, "t1", QUEUE)

    wait_until(lambda: foreign.state(redis, "t1") == "archived", "it was not archived")
    assert redis.exists(f"asynq:{QUEUE}:active", f"asynq:{QUEUE}:lease") == 0


SPELLINGS = {
    "compact": ('{"a":1,"b":[true,null]}', {"a": 1, "b": [True, None]}),
    "spread": ('\n{ "a" :\t1 ,\r\n "b" : [ true , null ] }\n', {"a": 1, "b": [True, None]}),
    "escaped": (r'{"t":"Gr\u00fc\u00dfe \ud83c\udf89 \u003cb\u003e \/"}', {"t": "Grüße 🎉 <b> /"}),
    "plain UTF-8": ('{"t":"Grüße 🎉"}', {"t": "Grüße 🎉"}),
    "whole numbers as floats": ('{"n":3.0,"m":1e3}', {"n": 3, "m": 1000}),
    "beyond 64 bits": (
        '{"n":123456789012345678901234567890}',
        {"n": 123456789012345678901234567890},
    ),
    "a key twice": ('{"n":1,"n":2}', {"n": 2}),
    "Python's NaN": ('{"n":[1,NaN]}', None),
}


@pytest.mark.parametrize(("text", "value"), SPELLINGS.values(), ids=SPELLINGS)
def test_json_is_read_as_every_language_writes_it(
    redis: Redis, session: Session, text: str, value: Any
) -> None:
    seen: list[Any] = []
    task(queue="inference")(lambda payload: seen.append(payload))
    session.start_worker("inference", store_results=True)

    foreign.write_hash(redis, "t1", QUEUE, text)
    foreign.push(redis, "t1", QUEUE)

    assert foreign.poll_result(redis, "t1") is None
    if value is None:
        assert seen[0]["n"][1] != seen[0]["n"][1]
    else:
        assert seen == [value]
    assert foreign.fields(redis, "t1")["payload"] == text


@pytest.mark.parametrize("text", ["not json", "", "{'a': 1}", '{"a":1', "\x00", '{"a":1}{"b":2}'])
def test_a_payload_that_is_no_json_is_archived_and_holds_nobody_up(
    redis: Redis, session: Session, text: str
) -> None:
    task(queue="inference")(lambda payload: payload)
    session.start_worker("inference", store_results=True)

    foreign.write_hash(redis, "t1", QUEUE, text)
    foreign.push(redis, "t1", QUEUE)
    after = foreign.put(redis, QUEUE, {"n": 1})

    assert foreign.poll_result(redis, after) == {"n": 1}
    wait_until(lambda: foreign.state(redis, "t1") == "archived", "it was not archived")
    assert "payload" in foreign.fields(redis, "t1")["error_msg"]


@pytest.mark.parametrize("separator", ["_", ":", "."])
def test_a_worker_of_the_parent_serves_every_spelling(
    redis: Redis, make_session: Any, separator: str
) -> None:
    """Whatever this session's own separator is."""
    ran: list[str] = []
    task(queue="inference")(lambda payload: ran.append(payload["queue"]))
    make_session(separator=separator).start_worker("inference")

    spelled = ["inference_high", "inference:high", "inference.high", "inference"]
    for queue in spelled:
        foreign.put(redis, queue, {"queue": queue})

    wait_until(lambda: sorted(ran) == sorted(spelled), f"only {ran} ran")


def test_a_longer_parent_of_the_same_beginning_is_not_served(
    redis: Redis, session: Session
) -> None:
    """`image_resize_high` belongs to `image_resize`, also once its queue was found."""
    ran: list[str] = []
    task(lambda payload: ran.append(payload["queue"]))
    session.start_worker("image")

    for queue in ("image_resize_high", "image_resize:low", "images_high", "image_high"):
        foreign.put(redis, queue, {"queue": queue})
    for queue in ("image_resize_high", "image_resize:low", "images_high"):
        wait_until(lambda q=queue: redis.sismember("asynq:queues", q), f"{queue} was not found")
    foreign.put(redis, "image:late", {"queue": "image:late"})
    wait_until(lambda: "image:late" in ran, "the late queue was not found")

    assert sorted(ran) == ["image:late", "image_high"]
    for queue in ("image_resize_high", "image_resize:low", "images_high"):
        assert redis.llen(f"asynq:{queue}:pending") == 1


def test_a_worker_of_a_sub_queue_serves_that_one_only(redis: Redis, session: Session) -> None:
    ran: list[str] = []
    task(lambda payload: ran.append(payload["queue"]))
    session.start_worker("inference_high")

    for queue in ("inference_low", "inference_default", "inference_high"):
        foreign.put(redis, queue, {"queue": queue})
    wait_until(lambda: ran, "nothing ran")
    foreign.put(redis, "inference_high", {"queue": "inference_high"})
    wait_until(lambda: len(ran) == 2, "the second did not run")

    assert ran == ["inference_high"] * 2


def test_high_goes_before_default_before_low(redis: Redis, session: Session) -> None:
    """Strictly, with one slot, whatever was put in first."""
    ran: list[str] = []
    task(queue="inference")(lambda payload: ran.append(payload["queue"]))
    order = ["inference_high"] * 3 + ["inference_default"] * 3 + ["inference_low"] * 3
    for queue in reversed(order):
        foreign.put(redis, queue, {"queue": queue})

    session.start_worker("inference", concurrency=1)

    wait_until(lambda: len(ran) == 9, f"only {ran} ran")
    assert ran == order


def test_what_comes_in_at_high_overtakes_what_waits(
    redis: Redis, session: Session, gate: Any
) -> None:
    ran: list[str] = []

    @task(queue="inference")
    def note(payload: dict) -> None:
        ran.append(payload["name"])
        gate(payload)

    session.start_worker("inference", concurrency=1)
    foreign.put(redis, "inference_low", {"name": "running"})
    wait_until(lambda: ran, "nothing ran")

    for name in ("low", "default", "high"):
        foreign.put(redis, f"inference_{name}", {"name": name})
    gate.open()

    wait_until(lambda: len(ran) == 4, f"only {ran} ran")
    assert ran == ["running", "high", "default", "low"]


def test_a_queue_is_first_in_first_out(redis: Redis, session: Session) -> None:
    ran: list[int] = []
    task(queue="inference")(lambda payload: ran.append(payload["n"]))
    for n in range(20):
        foreign.put(redis, QUEUE, {"n": n})

    session.start_worker("inference", concurrency=1)

    wait_until(lambda: len(ran) == 20, f"only {ran} ran")
    assert ran == list(range(20))


@pytest.mark.parametrize("queue", ["inference_tuesday", "inference:eu", "inference.gpu-2"])
def test_a_sub_queue_made_while_the_worker_runs_is_found(
    redis: Redis, session: Session, queue: str
) -> None:
    """Within 10 s: nobody tells the worker, it walks the keys."""
    task(queue="inference")(lambda payload: payload)
    session.start_worker("inference", store_results=True)
    assert session.enqueue("inference", {"n": 0}).result(5) == {"n": 0}

    task_id = foreign.put(redis, queue, {"n": 1})

    assert foreign.poll_result(redis, task_id, seconds=10) == {"n": 1}
