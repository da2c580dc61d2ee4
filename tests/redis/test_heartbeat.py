"""The worker's sign of life, as runqy's monitoring reads it."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker.heartbeat import Heartbeat

KEY = "asynq:workers:w1"


def beat(heartbeat: Heartbeat, **changed: Any) -> None:
    told: dict[str, Any] = {"queues": ["mail_default", "mail_high"], "concurrency": 4}
    heartbeat.beat(**{**told, "healthy": True, "active": ["a", "b"], **changed})


@pytest.fixture
def heartbeat(redis: redis_py.Redis) -> Heartbeat:
    return Heartbeat(redis, "w1")


def test_a_beat_says_who_works_where_for_30_seconds(
    redis: redis_py.Redis, heartbeat: Heartbeat
) -> None:
    beat(heartbeat)

    told = redis.hgetall(KEY)
    now = redis.time()[0]
    assert int(told.pop(b"started_at")) == pytest.approx(now, abs=2)
    assert int(told.pop(b"last_beat")) == pytest.approx(now, abs=2)
    assert told == {
        b"worker_id": b"w1",
        b"concurrency": b"4",
        b"queues": b"mail_default, mail_high",
        b"status": b"running",
        b"healthy": b"1",
        b"active_task": b"a, b",
        b"client": b"runqy_notebook",
    }
    assert 28 <= redis.ttl(KEY) <= 30
    assert redis.smembers("asynq:queues") == {b"mail_default", b"mail_high"}


def test_later_beats_keep_the_start_and_prolong_the_life(
    redis: redis_py.Redis, heartbeat: Heartbeat
) -> None:
    beat(heartbeat)
    start = redis.hget(KEY, "started_at")
    redis.hset(KEY, mapping={"started_at": "0", "last_beat": "0"})
    redis.expire(KEY, 1)

    beat(heartbeat, healthy=False)

    assert redis.hget(KEY, "started_at") == start
    assert int(redis.hget(KEY, "last_beat") or 0) == pytest.approx(redis.time()[0], abs=2)
    assert redis.hget(KEY, "healthy") == b"0"
    assert 28 <= redis.ttl(KEY) <= 30


def test_a_set_of_queues_of_another_type_costs_no_beat(
    redis: redis_py.Redis, heartbeat: Heartbeat
) -> None:
    redis.set("asynq:queues", "text")

    beat(heartbeat)

    assert redis.exists(KEY)


def test_a_worker_beats_on_while_memory_is_full(
    redis: redis_py.Redis, heartbeat: Heartbeat
) -> None:
    redis.config_set("maxmemory", "1")
    try:
        beat(heartbeat)
    finally:
        redis.config_set("maxmemory", "0")

    assert redis.exists(KEY)


def test_the_sign_is_taken_away_at_the_end(redis: redis_py.Redis, heartbeat: Heartbeat) -> None:
    beat(heartbeat)

    heartbeat.end(redis)

    assert not redis.exists(KEY)
