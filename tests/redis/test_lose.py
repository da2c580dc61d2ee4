"""What a guardian asks for when its kernel died: tasks taken back, and what is known of each."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker import scripts
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.guardian import DOUBTFUL, NOT_STARTED, PROVEN
from runqy_notebook.broker.killers import killers
from runqy_notebook.wire.documented import Task
from tests.broking import BASE, broker_of, claim, field, places, push

KEYS = ["asynq:nb:trimmed", "asynq:nb:killers", BASE]


@pytest.fixture
def broker(redis: redis_py.Redis) -> Broker:
    return broker_of(redis)


def lose(broker: Broker, task: Task, blame: int) -> str:
    told = broker.channels.news("")
    args = ["asynq:t:", 7200, 1000, 3, told, 0, 1, task.id, task.token, blame]
    answers: Any = scripts.LOSE(broker.client, KEYS, args)
    return str(answers[0].decode())


def test_a_task_that_was_not_started_goes_back_as_it_was(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    push(redis, "b")

    assert lose(broker, claim(broker)[0], NOT_STARTED) == "redelivered"

    (task,) = claim(broker)
    assert (task.id, task.is_suspect) == ("a", False)
    assert killers(redis) == []


def test_a_task_that_may_have_killed_is_a_suspect_and_is_named(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")

    assert lose(broker, claim(broker)[0], DOUBTFUL) == "redelivered"

    (task,) = claim(broker)
    assert (task.crashes, task.losses, task.is_suspect) == (0, 1, True)
    assert [(killer.task_id, killer.crashes) for killer in killers(redis)] == [("a", 0)]


@pytest.mark.parametrize("first", [DOUBTFUL, PROVEN])
def test_a_task_that_kills_each_time_is_archived_after_three_deaths_however_the_first_was_seen(
    redis: redis_py.Redis, broker: Broker, first: int
) -> None:
    push(redis, "a")

    fates = [lose(broker, claim(broker)[0], blame) for blame in (first, PROVEN, PROVEN)]

    assert fates == ["redelivered", "redelivered", "crashed"]
    assert places(redis, "a") == ["archived"]
    assert field(redis, "a", "error_msg") == b"killed its worker 3 times"
    assert killers(redis) == []


def test_a_suspect_that_only_shares_the_death_of_its_kernel_is_not_blamed(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")

    fates = [lose(broker, claim(broker)[0], DOUBTFUL) for _ in range(10)]

    assert fates == ["redelivered"] * 10
    assert field(redis, "a", "crashes") is None


def test_a_task_that_is_not_the_dead_workers_any_more_is_left_alone(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    (task,) = claim(broker)
    redis.hset("asynq:t:a", "claim", f"{BASE}|another|1")

    assert lose(broker, task, PROVEN) == "LOST"

    assert places(redis, "a") == ["active", "lease"]
