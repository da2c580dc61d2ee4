"""Sweeping: what is due, what was lost, what waits for its hash, what is old."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.wire.outcomes import Crashed
from tests.broking import (
    BASE,
    QUEUE,
    archived,
    broker_of,
    claim,
    done,
    end_lease,
    enqueue,
    field,
    let_waiting_be_due,
    places,
    push,
    retried,
    settle,
    sweep,
)

OTHER = "mail_high"


def kinds(events: list[object]) -> list[str]:
    return [event.kind for event in events]  # type: ignore[attr-defined]


# --- due -----------------------------------------------------------------------------------------


def test_due_tasks_become_pending_behind_those_that_wait(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "failing")
    settle(broker, retried(claim(broker)[0], delay=0))
    enqueue(broker, "first")
    enqueue(broker, "future", due="+100")
    redis.zadd(BASE + "scheduled", {"future": 1.0})
    enqueue(broker, "later", due="+100")

    sweep(broker)

    assert field(redis, "failing", "state") == field(redis, "future", "state") == b"pending"
    assert [task.id for task in claim(broker, want=9)] == ["first", "failing", "future"]
    assert places(redis, "later") == ["scheduled"]


@pytest.mark.parametrize("state", ["pending", "completed", "active", ""])
def test_a_due_task_runs_whatever_a_foreign_worker_made_of_its_state(
    redis: redis_py.Redis, broker: Broker, state: str
) -> None:
    push(redis, "a")
    settle(broker, retried(claim(broker)[0], delay=0))
    redis.hset("asynq:t:a", "state", state)

    sweep(broker)

    assert [task.id for task in claim(broker)] == ["a"]


@pytest.mark.parametrize("name", ["retry", "scheduled"])
def test_a_due_id_that_runs_in_another_queue_has_to_wait(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    push(redis, "a", OTHER)
    claim(broker, OTHER)
    redis.zadd(BASE + name, {"a": 1.0})

    sweep(broker)

    assert claim(broker) == []
    assert places(redis, "a") == ["waiting"]
    assert field(redis, "a", "state") == b"active"


@pytest.mark.parametrize("name", ["retry", "scheduled"])
def test_many_due_tasks_are_brought_in_one_round(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    redis.zadd(BASE + name, {f"t{number}": 1.0 for number in range(450)})

    sweep(broker)

    assert redis.llen(BASE + "pending") == 450
    assert not redis.exists(BASE + name)


def test_a_due_id_without_a_hash_or_with_another_key_ends_as_such_ids_do(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.zadd(BASE + "scheduled", {"orphan": 1.0, "odd": 1.0})
    redis.set("asynq:t:odd", "x")

    sweep(broker)
    claim(broker)

    assert places(redis, "orphan") == ["waiting"]
    assert places(redis, "odd") == ["archived"]


# --- lost leases ---------------------------------------------------------------------------------


def test_a_lost_task_is_taken_away_on_the_second_look_and_is_the_next_one(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    push(redis, "b")
    claim(broker)
    assert sweep(broker) == []
    end_lease(redis, "a")

    (suspect,) = sweep(broker)
    assert (suspect.kind, suspect.task_id, suspect.queue) == ("suspect", "a", QUEUE)
    assert places(redis, "a") == ["active", "lease"]
    assert kinds(sweep(broker)) == ["redelivered"]

    assert places(redis, "a") == ["pending"]
    assert field(redis, "a", "state") == b"pending"
    assert field(redis, "a", "claim") is None
    assert redis.zcard("asynq:nb:suspects") == 0
    (task,) = claim(broker)
    assert (task.id, task.crashes, task.losses, task.is_suspect) == ("a", 0, 1, True)
    assert not redis.exists("asynq:nb:killers")


def test_the_second_look_comes_no_sooner_than_asked(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    claim(broker)
    end_lease(redis, "a")

    assert kinds(sweep(broker, second_look=5.0)) == ["suspect"]
    assert kinds(sweep(broker, second_look=5.0)) == []
    suspect = redis.zrange("asynq:nb:suspects", 0, 0)[0]
    redis.zadd("asynq:nb:suspects", {suspect: redis.time()[0] - 6})
    assert kinds(sweep(broker, second_look=5.0)) == ["redelivered"]


def test_a_lease_renewed_in_between_is_looked_at_twice_again(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    tasks = claim(broker)
    end_lease(redis, "a")
    sweep(broker)
    broker.renew(tasks, lease=15.0)
    redis.zadd(BASE + "lease", {"a": 2.0})  # silent again, before anybody swept

    assert kinds(sweep(broker)) == ["suspect"]
    assert places(redis, "a") == ["active", "lease"]


def test_suspects_that_are_none_any_more_are_forgotten(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    push(redis, "b")
    first, second = claim(broker, want=2)
    end_lease(redis, "a")
    end_lease(redis, "b")
    redis.zadd("asynq:nb:suspects", {"no member of ours": 0})
    sweep(broker)
    broker.renew([first], lease=15.0)
    settle(broker, done(second))

    sweep(broker, OTHER)

    assert redis.zcard("asynq:nb:suspects") == 0


def test_a_task_is_not_blamed_for_losses_that_nobody_saw_until_there_are_very_many(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    found = []
    for _ in range(30):
        (task,) = claim(broker)
        assert task.crashes == 0
        end_lease(redis, "a")
        sweep(broker)
        found += kinds(sweep(broker))

    assert found == ["redelivered"] * 29 + ["crashed"]
    assert places(redis, "a") == ["archived"]
    assert field(redis, "a", "error_msg") == b"lost with its worker 30 times"
    assert field(redis, "a", "state") == b"archived"
    assert field(redis, "a", "claim") is None
    assert redis.get(BASE + "failed") == b"1"
    assert redis.get(BASE + "processed") == b"1"
    assert 7100 < redis.ttl("asynq:t:a") <= 7200

    push(redis, "a")
    assert not claim(broker)[0].is_suspect


@pytest.mark.parametrize("losses", [0, 1, 5])
def test_a_task_that_dies_apart_is_archived_after_three_starts_and_each_is_counted_once(
    redis: redis_py.Redis, broker: Broker, losses: int
) -> None:
    push(redis, "a", **({"losses": str(losses)} if losses else {}))
    starts = min(losses, 1)
    while not redis.zcard(BASE + "archived"):
        (task,) = claim(broker)
        settle(broker, Crashed(task, "it died"))
        starts += 1

    assert starts == 3
    assert field(redis, "a", "error_msg") == b"killed its worker 3 times"


@pytest.mark.parametrize("after", ["deleted", "overwritten", "given to another queue"])
def test_a_lease_whose_task_is_not_its_own_any_more_just_ends(
    redis: redis_py.Redis, broker: Broker, after: str
) -> None:
    push(redis, "a")
    claim(broker)
    if after == "given to another queue":
        redis.hset("asynq:t:a", "claim", f"asynq:{OTHER}:|w/9:1|1")
    else:
        redis.delete("asynq:t:a")
    if after == "overwritten":
        redis.hset("asynq:t:a", "payload", "{}")
    end_lease(redis, "a")

    sweep(broker)
    assert kinds(sweep(broker)) == []

    assert places(redis, "a") == []
    assert field(redis, "a", "crashes") is None


def test_a_leased_id_whose_key_became_another_type_is_archived(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    claim(broker)
    redis.delete("asynq:t:a")
    redis.set("asynq:t:a", "x")
    end_lease(redis, "a")

    sweep(broker)
    sweep(broker)

    assert places(redis, "a") == ["archived"]


def test_many_lost_leases_are_all_taken_away(redis: redis_py.Redis, broker: Broker) -> None:
    for number in range(1100):
        push(redis, f"t{number}")
    while claim(broker, want=100):
        pass
    redis.zunionstore(BASE + "lease", {BASE + "lease": 0.0})

    found = kinds(sweep(broker, second_look=5.0))
    assert found == ["suspect"] * 1100
    assert sweep(broker, second_look=5.0) == []
    redis.zunionstore("asynq:nb:suspects", {"asynq:nb:suspects": 0.0})
    found = kinds(sweep(broker, second_look=5.0))

    assert found == ["redelivered"] * 1100
    assert redis.llen(BASE + "pending") == 1100
    assert not redis.exists(BASE + "active", BASE + "lease")
    assert redis.zcard("asynq:nb:suspects") == 0


def test_any_number_of_lost_leases_is_seen_and_taken_back_in_a_sweep_each(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.zadd(BASE + "lease", {f"t{number}": 1.0 for number in range(1200)})

    assert kinds(sweep(broker)) == ["suspect"] * 1200
    sweep(broker)

    assert not redis.exists(BASE + "lease")


def test_one_call_changes_some_hundred_leases_and_the_next_ones_the_rest(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.zadd(BASE + "lease", {f"t{number}": 1.0 for number in range(1200)})

    redis.config_resetstat()
    assert kinds(sweep(broker, second_look=60.0)) == ["suspect"] * 1200
    assert script_calls(redis) > 2

    redis.config_resetstat()
    sweep(broker)
    assert script_calls(redis) > 2


def script_calls(redis: redis_py.Redis) -> int:
    calls: Any = redis.info("commandstats")
    return sum(calls.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("eval", "evalsha"))


# --- the waiting room ----------------------------------------------------------------------------


def test_an_orphan_is_archived_with_the_reason_after_its_third_look(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush(BASE + "pending", "orphan")
    claim(broker)
    found = []
    for _ in range(3):
        assert places(redis, "orphan") == ["waiting"]
        let_waiting_be_due(redis)
        found += kinds(sweep(broker))

    assert found == ["orphan"]
    assert places(redis, "orphan") == ["archived"]
    assert b"no task hash" in (field(redis, "orphan", "error_msg") or b"")
    assert redis.ttl("asynq:t:orphan") > 0


def test_an_orphans_looks_are_spread_over_more_than_two_seconds_and_less_than_five(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush(BASE + "pending", "orphan")

    def now() -> float:
        seconds, microseconds = redis.time()
        return float(seconds + microseconds / 1e6)

    looks: list[Callable[[], object]] = [lambda: claim(broker), *[lambda: sweep(broker)] * 2]
    for look, wait in zip(looks, [0.5, 1.0, 1.0], strict=True):
        let_waiting_be_due(redis)
        before = now()
        look()
        after = now()
        (_, due) = redis.zrange("asynq:nb:waiting", 0, 0, withscores=True)[0]
        assert before - 0.01 <= due - wait <= after + 0.01


def test_an_archived_orphan_whose_hash_arrives_late_runs_when_pushed_again(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush(BASE + "pending", "orphan")
    claim(broker)
    for _ in range(3):
        let_waiting_be_due(redis)
        sweep(broker)

    push(redis, "orphan")

    assert [task.id for task in claim(broker)] == ["orphan"]
    assert places(redis, "orphan") == ["active", "lease"]


@pytest.mark.parametrize("ttl", [7200.0, 0.0])
def test_many_orphans_are_archived_while_good_tasks_run(redis: redis_py.Redis, ttl: float) -> None:
    broker = broker_of(redis, archived_ttl=ttl)
    for number in range(500):
        redis.lpush(BASE + "pending", f"orphan{number}")
    push(redis, "good")
    ran: list[str] = []
    for _ in range(6):
        ran += [task.id for task in claim(broker)]
    for _ in range(3):
        let_waiting_be_due(redis)
        sweep(broker)

    assert ran == ["good"]
    assert redis.zcard("asynq:nb:waiting") == 0
    assert redis.zcard(BASE + "archived") == (500 if ttl else 0)
    assert redis.exists(*(f"asynq:t:orphan{n}" for n in range(500))) == (500 if ttl else 0)


def test_a_waiting_id_whose_key_became_another_type_is_archived(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush(BASE + "pending", "odd")
    claim(broker)
    redis.set("asynq:t:odd", "x")
    let_waiting_be_due(redis)

    sweep(broker)

    assert places(redis, "odd") == ["archived"]


def test_a_duplicate_waits_for_as_long_as_the_lease_runs(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    (task,) = claim(broker)
    push(redis, "a")
    claim(broker)
    for _ in range(5):
        let_waiting_be_due(redis)
        assert sweep(broker) == []
        assert places(redis, "a") == ["active", "lease", "waiting"]

    settle(broker, archived(task))
    let_waiting_be_due(redis)
    sweep(broker)

    assert [task.id for task in claim(broker)] == ["a"]
    assert places(redis, "a") == ["active", "lease"]


def test_the_waiting_room_is_looked_after_by_whoever_sweeps(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush(BASE + "pending", "late")
    claim(broker)
    redis.hset("asynq:t:late", "payload", "{}")
    let_waiting_be_due(redis)

    sweep(broker, OTHER)

    assert places(redis, "late") == ["pending"]


def test_nothing_in_the_waiting_room_or_among_suspects_can_stop_the_sweep(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.zadd("asynq:nb:waiting", {"": 1, "||": 1, "x": 1, "a|b|c": 1, f"{BASE}|1|late": 1})
    redis.zadd("asynq:nb:suspects", {"": 1, "||": 1, "x": 1})
    redis.hset("asynq:t:late", "payload", "{}")

    sweep(broker)

    assert places(redis, "late") == ["pending"]
    assert redis.zcard("asynq:nb:waiting") == redis.zcard("asynq:nb:suspects") == 0


# --- wrong types ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pending", "active", "lease", "retry", "scheduled", "archived"])
def test_a_queue_with_a_key_of_a_wrong_type_stops_no_other_and_loses_nothing(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    for queue, late, lost in ((QUEUE, "late1", "lost1"), (OTHER, "late2", "lost2")):
        push(redis, lost, queue)
        claim(broker, queue)
        redis.lpush(f"asynq:{queue}:pending", late)
        claim(broker, queue)
        end_lease(redis, lost, queue)
        redis.hset(f"asynq:t:{late}", "payload", "{}")
    sweep(broker, QUEUE, OTHER)
    let_waiting_be_due(redis)
    aside = redis.exists(BASE + name) and redis.rename(BASE + name, "aside")
    redis.set(BASE + name, "something else")

    sweep(broker, QUEUE, OTHER)

    assert {task.id for task in claim(broker, OTHER, want=9)} == {"late2", "lost2"}
    redis.delete(BASE + name)
    if aside:
        redis.rename("aside", BASE + name)
    let_waiting_be_due(redis)
    sweep(broker)
    sweep(broker)
    assert {task.id for task in claim(broker, want=9)} == {"late1", "lost1"}


@pytest.mark.parametrize("name", ["swept", "waiting", "suspects"])
def test_a_key_of_the_sweep_itself_of_a_wrong_type_costs_only_what_needs_it(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    push(redis, "lost")
    redis.lpush(BASE + "pending", "late")
    claim(broker, want=2)
    redis.hset("asynq:t:late", "payload", "{}")
    enqueue(broker, "due", due="+100")
    redis.zadd(BASE + "scheduled", {"due": 1.0})
    redis.zadd(BASE + "completed", {"old": 1.0})
    end_lease(redis, "lost")
    let_waiting_be_due(redis)
    redis.delete(f"asynq:nb:{name}")
    redis.set(f"asynq:nb:{name}", "somebody else's")

    for _ in range(2):
        broker.sweep((QUEUE,), second_look=0.0)
        if name != "swept":
            redis.zincrby("asynq:nb:swept", -1, BASE)

    costs = {"swept": set(), "waiting": {"late"}, "suspects": {"lost"}}
    assert {task.id for task in claim(broker, want=9)} == {"due", "late", "lost"} - costs[name]
    assert redis.zcard(BASE + "completed") == 0
    assert redis.get(f"asynq:nb:{name}") == b"somebody else's"


def test_with_full_memory_and_without_the_last_sweeps_leases_are_looked_at_still(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "lost")
    claim(broker)
    end_lease(redis, "lost")
    redis.set("asynq:nb:swept", "somebody else's")
    redis.config_set("maxmemory", 1)
    try:
        found = [kinds(broker.sweep((QUEUE,), second_look=0.0)) for _ in range(2)]
    finally:
        redis.config_set("maxmemory", 0)

    assert found == [["suspect"], ["redelivered"]]
    assert places(redis, "lost") == ["pending"]


# --- how often, and what is old ------------------------------------------------------------------


def test_a_queue_is_swept_once_a_second_whoever_asks(redis: redis_py.Redis, broker: Broker) -> None:
    broker.sweep([QUEUE], second_look=0)
    redis.zadd(BASE + "retry", {"a": 1.0})
    redis.zadd(f"asynq:{OTHER}:retry", {"b": 1.0})

    broker_of(redis).sweep([QUEUE, OTHER], second_look=0)

    assert places(redis, "a") == ["retry"]
    assert places(redis, "b", OTHER) == ["pending"]
    redis.zincrby("asynq:nb:swept", -0.9, BASE)
    broker.sweep([QUEUE], second_look=0)
    assert places(redis, "a") == ["pending"]


def test_a_clock_that_was_set_back_does_not_end_the_sweeping(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.zadd("asynq:nb:swept", {BASE: 4e9})
    redis.zadd(BASE + "retry", {"a": 1.0})

    broker.sweep([QUEUE], second_look=0)

    assert places(redis, "a") == ["pending"]


def test_finished_tasks_past_their_time_leave_the_sorted_sets(
    redis: redis_py.Redis, broker: Broker
) -> None:
    now = redis.time()[0]
    redis.zadd(BASE + "completed", {"old": now - 1, "young": now + 100})
    redis.zadd(BASE + "archived", {"old": now - 7201, "young": now - 7100})

    sweep(broker)

    assert redis.zrange(BASE + "completed", 0, -1) == [b"young"]
    assert redis.zrange(BASE + "archived", 0, -1) == [b"young"]
