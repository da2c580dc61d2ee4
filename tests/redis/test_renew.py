"""Renewing leases: only one's own, and in full memory too."""

from __future__ import annotations

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from tests.broking import BASE, claim, done, end_lease, push, settle, sweep

OTHER = "mail_high"


def test_a_held_lease_is_prolonged(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    push(redis, "b", OTHER)
    tasks = claim(broker, "mail_default", OTHER, want=2)

    assert broker.renew(tasks, lease=100.0) == ["HELD", "HELD"]

    now = redis.time()[0]
    assert redis.zscore(BASE + "lease", "a") == pytest.approx(now + 100, abs=2)
    assert redis.zscore(f"asynq:{OTHER}:lease", "b") == pytest.approx(now + 100, abs=2)


def test_a_lease_that_is_over_but_not_yet_taken_away_is_renewed(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    tasks = claim(broker)
    end_lease(redis, "a")
    sweep(broker)

    assert broker.renew(tasks, lease=15.0) == ["HELD"]
    assert sweep(broker) == []
    assert settle(broker, done(tasks[0])) == ["OK"]


def test_a_cancelled_task_is_held_but_asked_to_stop(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    tasks = claim(broker)
    redis.hset("asynq:t:a", "cancel", "1")

    assert broker.renew(tasks, lease=15.0) == ["CANCELLED"]


@pytest.mark.parametrize(
    "lost", ["taken away", "deleted", "no hash", "no lease", "lease of a wrong type", "other token"]
)
def test_a_lost_lease_is_not_taken_back_and_the_others_are_renewed(
    redis: redis_py.Redis, broker: Broker, lost: str
) -> None:
    push(redis, "a")
    push(redis, "b", OTHER)
    tasks = claim(broker, "mail_default", OTHER, want=2)
    if lost == "taken away":
        end_lease(redis, "a")
        sweep(broker)
        sweep(broker)
    elif lost in ("deleted", "no hash"):
        redis.delete("asynq:t:a")
        if lost == "no hash":
            redis.lpush("asynq:t:a", "x")
    elif lost == "other token":
        redis.hset("asynq:t:a", "claim", "another's")
    else:
        redis.delete(BASE + "lease")
        if lost == "lease of a wrong type":
            redis.set(BASE + "lease", "x")
    before = redis.dump(BASE + "lease")

    assert broker.renew(tasks, lease=100.0) == ["LOST", "HELD"]

    assert redis.dump(BASE + "lease") == before


def test_renewing_nothing_is_nothing(broker: Broker) -> None:
    assert broker.renew([], lease=15.0) == []
