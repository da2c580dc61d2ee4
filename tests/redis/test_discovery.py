"""Finding queues: one scanner per fleet, which spares the server."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import redis as redis_py

from runqy_notebook.broker.discovery import REST, Discovery
from tests.broking import push


@pytest.fixture
def discovery(redis: redis_py.Redis) -> Discovery:
    return Discovery(redis, "worker-1")


def test_queues_that_outsiders_made_become_known(
    redis: redis_py.Redis, discovery: Discovery
) -> None:
    for queue in ("mail_default", "mail:high", "image.low"):
        push(redis, "a", queue)
    redis.lpush("asynq:not a name:pending", "a")
    redis.lpush("asynq:t:pending", "a")
    redis.lpush(b"asynq:\xff:pending", "a")
    redis.lpush("other:mail:pending", "a")

    discovery.step(100.0)

    assert discovery.known() == {"mail_default", "mail:high", "image.low"}


def test_only_one_scanner_walks_at_a_time_and_another_takes_over(
    redis: redis_py.Redis, discovery: Discovery
) -> None:
    other = Discovery(redis, "worker-2")
    discovery.step(100.0)
    push(redis, "a")

    other.step(100.0)
    assert other.known() == set()

    discovery.end(redis)
    other.step(105.0)
    assert other.known() == {"mail_default"}
    discovery.end(redis)
    assert redis.get("asynq:nb:scanner") == b"worker-2"
    assert 0 < redis.ttl("asynq:nb:scanner") <= 15


def test_the_lock_is_renewed_by_who_holds_it(redis: redis_py.Redis, discovery: Discovery) -> None:
    discovery.step(100.0)
    redis.expire("asynq:nb:scanner", 3)

    discovery.step(105.0)

    assert redis.ttl("asynq:nb:scanner") > 10


def test_it_rests_between_two_walks(redis: redis_py.Redis, discovery: Discovery) -> None:
    discovery.step(100.0)
    push(redis, "a")

    discovery.step(100.0 + REST - 0.1)
    assert discovery.known() == set()

    discovery.step(100.0 + REST)
    assert discovery.known() == {"mail_default"}


def cpu_seconds(redis: redis_py.Redis) -> float:
    """What the server has computed so far."""
    used = redis.info("cpu")
    return float(used["used_cpu_sys"] + used["used_cpu_user"])


def test_a_hundred_thousand_keys_take_a_small_share_of_the_server_and_less_than_ten_seconds(
    redis: redis_py.Redis, discovery: Discovery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a look at a thousand keys takes half a millisecond, which is five times what it does:
    a machine that stands still for a moment takes no share of the server.
    """
    moments = itertools.count()
    monkeypatch.setattr(
        "runqy_notebook.broker.discovery.time",
        SimpleNamespace(monotonic=lambda: next(moments) * 5e-4),
    )
    pipeline = redis.pipeline(transaction=False)
    for number in range(100_000):
        pipeline.set(f"key{number}", "")
    pipeline.execute()
    queues = {f"late{number}_default" for number in range(50)}
    for queue in queues:
        push(redis, "a", queue)
    began = cpu_seconds(redis)

    now, steps = 100.0, 0
    while not queues <= discovery.known():
        discovery.step(now)
        now, steps = now + 0.25, steps + 1

    seconds = steps * 0.25
    share = (cpu_seconds(redis) - began) / seconds
    print(f"\nafter {seconds:g} s; it took {share:.2%} of the server's time")
    assert seconds < 10
    assert share <= 0.02
