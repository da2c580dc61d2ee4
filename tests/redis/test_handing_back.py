"""Handing back: all that a guardian asks for when its kernel died, and what it must not touch."""

from __future__ import annotations

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.guardian import NOT_STARTED, PROVEN
from runqy_notebook.wire.documented import Task
from tests.broking import (
    BASE,
    QUEUE,
    claim,
    done,
    end_lease,
    field,
    lose,
    places,
    push,
    settle,
    sweep,
)

OTHER = "mail_high"
KILLERS = "asynq:nb:killers"


def taken(redis: redis_py.Redis, broker: Broker, *ids: str, queue: str = QUEUE) -> list[Task]:
    """Tasks that run."""
    for task_id in ids:
        push(redis, task_id, queue)
    return claim(broker, queue, want=len(ids))


def test_tasks_of_a_dead_kernel_are_the_next_ones_and_only_started_ones_are_blamed(
    redis: redis_py.Redis, broker: Broker
) -> None:
    started, claimed = taken(redis, broker, "started", "claimed")
    (elsewhere,) = taken(redis, broker, "elsewhere", queue=OTHER)
    push(redis, "waiting")

    told = lose(redis, (started, PROVEN), (claimed, NOT_STARTED), (elsewhere, PROVEN))

    assert told == ["redelivered"] * 3
    assert redis.lrange(BASE + "pending", 0, -1) == [b"waiting", b"started", b"claimed"]
    assert places(redis, "elsewhere", OTHER) == ["pending"]
    assert not redis.exists(BASE + "active", BASE + "lease")
    assert field(redis, "started", "crashes") == field(redis, "elsewhere", "crashes") == b"1"
    assert field(redis, "claimed", "crashes") is None
    assert field(redis, "started", "claim") is None
    assert field(redis, "started", "state") == b"pending"
    assert settle(broker, done(started), done(claimed)) == ["FENCED", "FENCED"]


def test_what_a_slot_had_claimed_and_not_started_comes_back_in_its_order_without_blame(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for task_id in "abcd":
        push(redis, task_id)
    first, second, third = claim(broker, want=3)
    settle(broker, done(second), slot="w/2")
    (last,) = claim(broker, want=1, slot="w/2")

    assert lose(redis, (first, PROVEN), slots=["w/1", "w/3"]) == ["redelivered"]

    assert redis.lrange(BASE + "pending", 0, -1) == [b"a", b"c"]
    assert field(redis, "a", "crashes") == b"1"
    assert field(redis, "c", "crashes") is None
    assert places(redis, "b") == ["completed"]
    assert places(redis, last.id) == ["active", "lease"]
    assert settle(broker, done(third)) == ["FENCED"]


STRANGE_REPLIES = [
    "text",
    "\n",
    "\n{",
    "\nnull",
    "\n[1]",
    '\n{"taken": 5}',
    '\n{"taken": [7]}',
    '\n{"taken": [["asynq:mail_default:", "b"]]}',
    '\n{"taken": [["asynq:mail_default:", {}, null]]}',
    "\n" + "[" * 5000,
]


@pytest.mark.parametrize("reply", ["a list", "unsound", *STRANGE_REPLIES])
def test_a_strange_reply_gives_nothing_back_and_stops_nothing(
    redis: redis_py.Redis, broker: Broker, reply: str
) -> None:
    (task,) = taken(redis, broker, "a", queue=OTHER)
    taken(redis, broker, "b")
    key = "asynq:nb:reply:w/1"
    if reply == "unsound":
        redis.set(BASE + "retry", "text")
    elif reply == "a list":
        redis.delete(key)
        redis.lpush(key, "x")
    else:
        redis.set(key, reply)

    assert lose(redis, (task, PROVEN), slots=["w/1"]) == ["redelivered"]

    assert redis.lrange(BASE + "active", 0, -1) == [b"b"]


def test_what_was_running_when_a_kernel_died_is_remembered_for_a_day(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.zadd(KILLERS, {f"older{number}": number for number in range(1000)})
    started, claimed = taken(redis, broker, "started", "claimed")

    lose(redis, (started, PROVEN), (claimed, NOT_STARTED))

    newest = redis.zrange(KILLERS, -1, -1, withscores=True)
    assert newest == [(f"{BASE}|started".encode(), pytest.approx(redis.time()[0], abs=2))]
    assert redis.zcard(KILLERS) == 1000
    assert redis.zscore(KILLERS, "older0") is None
    assert 86_000 < redis.ttl(KILLERS) <= 86_400


def test_a_key_of_a_wrong_type_costs_the_memory_of_killers_and_never_a_task(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.set(KILLERS, "text")
    (task,) = taken(redis, broker, "a")

    assert lose(redis, (task, PROVEN)) == ["redelivered"]

    assert places(redis, "a") == ["pending"]


@pytest.mark.parametrize(("ttl", "kept"), [(7200, ["archived"]), (0, [])])
def test_a_task_that_was_running_in_too_many_deaths_is_archived(
    redis: redis_py.Redis, broker: Broker, ttl: float, kept: list[str]
) -> None:
    (task,) = taken(redis, broker, "a")

    assert lose(redis, (task, PROVEN), limit=1, ttl=ttl) == ["crashed"]

    assert places(redis, "a") == kept
    assert redis.exists("asynq:t:a") == bool(kept)
    assert field(redis, "a", "error_msg") == (b"killed its worker 1 times" if kept else None)
    assert redis.get(BASE + "processed") == redis.get(BASE + "failed") == b"1"


def test_a_task_that_was_to_be_cancelled_is_cancelled_and_not_blamed(
    redis: redis_py.Redis, broker: Broker
) -> None:
    (task,) = taken(redis, broker, "a")
    redis.hset("asynq:t:a", "cancel", "1")

    assert lose(redis, (task, PROVEN)) == ["cancelled"]

    assert places(redis, "a") == ["archived"]
    assert field(redis, "a", "error_msg") == b"cancelled"
    assert field(redis, "a", "crashes") is None
    assert redis.get(BASE + "processed") == b"1"
    assert not redis.exists(BASE + "failed")


def test_only_as_many_of_the_archived_are_kept_as_asked(
    redis: redis_py.Redis, broker: Broker
) -> None:
    tasks = taken(redis, broker, *"abc")

    assert lose(redis, *((task, PROVEN) for task in tasks), limit=1, cap=2) == ["crashed"] * 3

    assert redis.zrange(BASE + "archived", 0, -1) == [b"b", b"c"]
    assert redis.hget("asynq:nb:trimmed", BASE) == b"1"


@pytest.mark.parametrize("after", ["given away", "done", "deleted", "no hash", "unsound"])
def test_what_is_not_the_dead_kernels_any_more_stays_as_it_is(
    redis: redis_py.Redis, broker: Broker, after: str
) -> None:
    (task,) = taken(redis, broker, "a")
    (mine,) = taken(redis, broker, "b", queue=OTHER)
    if after == "given away":
        end_lease(redis, "a")
        sweep(broker)
        sweep(broker)
        claim(broker)
    elif after == "done":
        settle(broker, done(task))
    elif after == "unsound":
        redis.set(BASE + "retry", "text")
    else:
        redis.delete("asynq:t:a")
    if after == "no hash":
        redis.set("asynq:t:a", "text")
    before = {key: redis.dump(key) for key in redis.scan_iter(BASE + "*")}
    hash_before = redis.dump("asynq:t:a")

    assert lose(redis, (task, PROVEN), (mine, NOT_STARTED)) == ["LOST", "redelivered"]

    assert {key: redis.dump(key) for key in redis.scan_iter(BASE + "*")} == before
    assert redis.dump("asynq:t:a") == hash_before
