"""Settling: outcomes are written down once, fenced, and the next tasks are claimed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.wire.outcomes import Outcome
from tests.broking import (
    BASE,
    QUEUE,
    archived,
    broker_of,
    claim,
    crashed,
    done,
    end_lease,
    enqueue,
    exchange,
    field,
    let_waiting_be_due,
    places,
    push,
    released,
    retried,
    settle,
    settled,
    sweep,
)

OTHER = "mail_high"


# --- claiming ------------------------------------------------------------------------------------


def test_a_claimed_task_is_active_under_a_lease_with_a_token(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a", payload='{"x": 1}', timeout="7")

    (task,) = claim(broker, lease=15.0)

    assert (task.id, task.queue, task.payload, task.timeout) == ("a", QUEUE, b'{"x": 1}', 7.0)
    assert places(redis, "a") == ["active", "lease"]
    assert redis.zscore(BASE + "lease", "a") == pytest.approx(redis.time()[0] + 15, abs=2)
    assert field(redis, "a", "state") == b"active"
    assert field(redis, "a", "claim") == task.token
    assert field(redis, "a", "starts") == b"1"


def test_tasks_come_oldest_first_and_never_more_than_wanted(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for task_id in "abc":
        push(redis, task_id)

    assert [task.id for task in claim(broker, want=2)] == ["a", "b"]
    assert places(redis, "c") == ["pending"]


def test_earlier_named_queues_are_emptied_first(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "low")
    push(redis, "high1", OTHER)
    push(redis, "high2", OTHER)

    tasks = claim(broker, OTHER, QUEUE, want=5)

    assert [(task.id, task.queue) for task in tasks] == [
        ("high1", OTHER),
        ("high2", OTHER),
        ("low", QUEUE),
    ]


def test_a_paused_queue_is_not_claimed_from(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    redis.lpush(BASE + "paused", "of any type")

    assert claim(broker) == []
    assert places(redis, "a") == ["pending"]

    redis.delete(BASE + "paused")
    assert [task.id for task in claim(broker)] == ["a"]


def test_an_id_without_a_hash_waits_and_runs_once_its_hash_is_there(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush(BASE + "pending", "late")
    push(redis, "good")

    assert [task.id for task in claim(broker, want=5)] == ["good"]
    assert places(redis, "late") == ["waiting"]

    redis.hset("asynq:t:late", "payload", "{}")
    let_waiting_be_due(redis)
    sweep(broker)
    assert [task.id for task in claim(broker, want=5)] == ["late"]


@pytest.mark.parametrize("kind", ["string", "list", "zset", "set"])
def test_an_id_whose_key_is_no_hash_is_archived(
    redis: redis_py.Redis, broker: Broker, kind: str
) -> None:
    make = {
        "string": lambda: redis.set("asynq:t:bad", "x"),
        "list": lambda: redis.lpush("asynq:t:bad", "x"),
        "zset": lambda: redis.zadd("asynq:t:bad", {"x": 1}),
        "set": lambda: redis.sadd("asynq:t:bad", "x"),
    }
    make[kind]()
    redis.lpush(BASE + "pending", "bad")
    push(redis, "good")

    assert [task.id for task in claim(broker, want=5)] == ["good"]
    assert places(redis, "bad") == ["archived"]
    assert redis.type("asynq:t:bad") == kind.encode()


def test_the_same_id_pushed_again_runs_once_at_a_time(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for _ in range(3):
        push(redis, "a")

    (first,) = claim(broker, want=5)
    assert places(redis, "a") == ["active", "lease", "waiting"]

    settle(broker, done(first))
    let_waiting_be_due(redis)
    sweep(broker)
    (second,) = claim(broker, want=5)
    assert settle(broker, done(second)) == ["OK"]
    assert places(redis, "a") == ["completed"]


def test_the_same_id_in_two_queues_runs_once_at_a_time(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    push(redis, "a", OTHER)

    (first,) = claim(broker, QUEUE, OTHER, want=5)

    assert first.queue == QUEUE
    assert places(redis, "a", OTHER) == ["waiting"]
    settle(broker, done(first))
    let_waiting_be_due(redis)
    sweep(broker, OTHER)
    (second,) = claim(broker, QUEUE, OTHER, want=5)
    assert second.queue == OTHER


def test_an_id_pushed_again_while_its_lease_is_over_but_not_yet_taken_away_has_to_wait(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    (first,) = claim(broker)
    end_lease(redis, "a")
    push(redis, "a")

    assert claim(broker) == []

    assert places(redis, "a") == ["active", "lease", "waiting"]
    assert settle(broker, done(first)) == ["OK"]


def test_a_task_overwritten_while_it_runs_is_in_active_once(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    (old,) = claim(broker)
    redis.delete("asynq:t:a")
    push(redis, "a", payload='{"new": 1}')

    assert claim(broker) == []
    assert places(redis, "a").count("active") == 1

    assert settle(broker, done(old)) == ["FENCED"]
    assert places(redis, "a") == ["waiting"]
    let_waiting_be_due(redis)
    sweep(broker)
    (new,) = claim(broker)
    assert new.payload == b'{"new": 1}'


def test_foreign_entries_in_active_are_left_alone(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "theirs")
    redis.rpop(BASE + "pending")
    redis.lpush(BASE + "active", "theirs")
    redis.hset("asynq:t:theirs", "state", "active")

    for _ in range(3):
        assert claim(broker) == []
        sweep(broker)

    assert places(redis, "theirs") == ["active"]


def test_at_most_a_hundred_ids_are_looked_at_in_one_call(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for number in range(150):
        redis.lpush(BASE + "pending", f"orphan{number}")
    push(redis, "good")

    assert claim(broker) == []
    assert redis.llen(BASE + "pending") == 51
    assert [task.id for task in claim(broker)] == ["good"]


@pytest.mark.parametrize("state", ["completed", "archived", "retry", "scheduled", "pending", ""])
@pytest.mark.parametrize("listed", ["completed", "archived", "retry", "scheduled"])
def test_a_task_pushed_again_leaves_the_other_sets_whatever_its_state_says(
    redis: redis_py.Redis, broker: Broker, state: str, listed: str
) -> None:
    push(redis, "a", state=state, crashes="2", starts="7", cancel="1", error_msg="old")
    redis.expire("asynq:t:a", 100)
    redis.zadd(BASE + listed, {"a": 4e9})
    redis.set("asynq:result:a", '"stale"')

    (task,) = claim(broker)

    assert places(redis, "a") == ["active", "lease"]
    assert redis.ttl("asynq:t:a") == -1
    assert not redis.exists("asynq:result:a")
    was_finished = {state, listed} & {"completed", "archived"}
    assert task.crashes == (0 if was_finished else 2)
    assert field(redis, "a", "starts") == (b"1" if was_finished else b"8")
    assert field(redis, "a", "error_msg") == (None if was_finished else b"old")
    assert field(redis, "a", "cancel") is None


def test_a_result_that_outlived_its_tasks_record_is_not_taken_for_that_of_the_next_run(
    redis: redis_py.Redis,
) -> None:
    broker = broker_of(redis, completed_ttl=0)
    push(redis, "a")
    settle(broker, done(claim(broker)[0], b'"old"'))
    assert redis.get("asynq:result:a") == b'"old"'
    push(redis, "a")

    claim(broker)

    assert not redis.exists("asynq:result:a")


@pytest.mark.parametrize("name", ["pending", "active", "lease", "retry", "completed"])
def test_a_queue_with_a_key_of_a_wrong_type_is_passed_over_without_loss(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    push(redis, "a")
    if name == "pending":
        redis.rename(BASE + "pending", "aside")
    redis.set(BASE + name, "something else")
    push(redis, "b", OTHER)

    answer = broker.settle(exchange(queues=(QUEUE, OTHER), want=5), lease=15.0)

    assert [task.id for task in answer.tasks] == ["b"]
    assert [(flaw.key, flaw.found) for flaw in answer.unsound] == [(BASE + name, "string")]
    redis.delete(BASE + name)
    if name == "pending":
        redis.rename("aside", BASE + "pending")
    assert [task.id for task in claim(broker)] == ["a"]


IDS = [
    b"with space",
    b"\r\n",
    b"\xff\xfe",
    "\N{SNOWMAN}\U0001f600".encode(),
    b"*",
    b"{a}",
    b"../x",
    b"a|b|c",
    b"nul\x00in it",
    b'quo"te\\',
    b"",
    b"%s%d",
    b"x" * 5000,
]


@pytest.mark.parametrize("task_id", IDS, ids=lambda task_id: repr(task_id[:12]))
def test_any_id_goes_all_the_way(redis: redis_py.Redis, broker: Broker, task_id: bytes) -> None:
    key, base = b"asynq:t:" + task_id, BASE
    redis.hset(key, "payload", "{}")
    redis.lpush(base + "pending", task_id)

    asked = exchange(queues=(QUEUE,), want=1)
    broker.settle(asked, lease=15.0)
    (task,) = broker.settle(asked, lease=15.0, again=True).tasks
    assert broker.renew([task], lease=15.0) == ["HELD"]
    assert settle(broker, retried(task, 0.0)) == ["OK"]
    sweep(broker)
    (task,) = claim(broker)
    end_lease(redis, task_id)
    sweep(broker)
    assert [event.kind for event in sweep(broker)] == ["redelivered"]
    (task,) = claim(broker)
    assert settle(broker, done(task)) == ["OK"]

    assert redis.zrange(base + "completed", 0, -1) == [task_id]
    assert all(name.startswith(b"asynq:") for name in redis.scan_iter())


# --- outcomes ------------------------------------------------------------------------------------


def test_a_completed_task_is_kept_for_a_while_without_its_result(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a", error_msg="of an earlier attempt")
    (task,) = claim(broker)

    assert settle(broker, done(task)) == ["OK"]

    assert places(redis, "a") == ["completed"]
    assert field(redis, "a", "state") == b"completed"
    assert float(field(redis, "a", "completed_at") or 0) > 1.7e9
    assert field(redis, "a", "claim") is None
    assert field(redis, "a", "error_msg") is None
    assert 3500 < redis.ttl("asynq:t:a") <= 3600
    assert redis.zscore(BASE + "completed", "a") == pytest.approx(redis.time()[0] + 3600, abs=2)
    assert not redis.exists("asynq:result:a")


def test_a_stored_result_has_its_own_life(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    (task,) = claim(broker)

    settle(broker, done(task, b'{"ok": 1}', 60.5))

    assert redis.get("asynq:result:a") == b'{"ok": 1}'
    assert 59_000 < redis.pttl("asynq:result:a") <= 60_500


def test_a_failed_task_waits_for_its_retry(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a", retry="1")
    (task,) = claim(broker)

    assert settle(broker, retried(task, 60.0)) == ["OK"]

    assert places(redis, "a") == ["retry"]
    assert redis.zscore(BASE + "retry", "a") == pytest.approx(redis.time()[0] + 60, abs=2)
    assert field(redis, "a", "retry") == b"2"
    assert field(redis, "a", "state") == b"retry"
    assert field(redis, "a", "error_msg") == b"it failed"
    assert field(redis, "a", "claim") is None
    assert float(field(redis, "a", "last_failed_at") or 0) > 1.7e9


def test_an_archived_task_keeps_the_reason(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    (task,) = claim(broker)

    assert settle(broker, archived(task)) == ["OK"]

    assert places(redis, "a") == ["archived"]
    assert redis.zscore(BASE + "archived", "a") == pytest.approx(redis.time()[0], abs=2)
    assert field(redis, "a", "state") == b"archived"
    assert field(redis, "a", "error_msg") == b"it failed for good"
    assert field(redis, "a", "claim") is None
    assert 7100 < redis.ttl("asynq:t:a") <= 7200


def test_a_released_task_is_the_next_one_and_nothing_is_counted(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a", retry="1")
    push(redis, "b")
    (task,) = claim(broker)

    assert settle(broker, released(task)) == ["OK"]

    assert places(redis, "a") == ["pending"]
    assert field(redis, "a", "state") == b"pending"
    assert field(redis, "a", "claim") is None
    assert field(redis, "a", "retry") == b"1"
    assert redis.keys(BASE + "processed*") == []
    assert [task.id for task in claim(broker)] == ["a"]


@pytest.mark.parametrize("outcome", [done, archived])
def test_with_a_ttl_of_0_nothing_of_a_finished_task_is_kept(
    redis: redis_py.Redis, outcome: type[Outcome]
) -> None:
    broker = broker_of(redis, completed_ttl=0, archived_ttl=0)
    push(redis, "a")
    (task,) = claim(broker)

    assert settle(broker, outcome(task)) == ["OK"]

    assert places(redis, "a") == []
    assert not redis.exists("asynq:t:a")


def test_a_life_beyond_what_redis_takes_is_cut(redis: redis_py.Redis) -> None:
    broker = broker_of(redis, completed_ttl=1e300, archived_ttl=1e300)
    push(redis, "a")
    push(redis, "b")
    first, second = claim(broker, want=2)

    assert settle(broker, done(first, b"1", 1e300), archived(second)) == ["OK", "OK"]

    assert redis.ttl("asynq:t:a") > 1e8
    assert redis.ttl("asynq:t:b") > 1e8
    assert redis.ttl("asynq:result:a") > 1e8


@pytest.mark.parametrize(("outcome", "state"), [(done, "completed"), (archived, "archived")])
def test_only_the_newest_finished_tasks_are_kept_and_the_others_are_counted(
    redis: redis_py.Redis, outcome: type[Outcome], state: str
) -> None:
    broker = broker_of(redis, completed_cap=2, archived_cap=2)
    for task_id in "abcd":
        push(redis, task_id)
        settle(broker, outcome(claim(broker)[0]))

    assert redis.zrange(BASE + state, 0, -1) == [b"c", b"d"]
    assert not redis.exists("asynq:t:a", "asynq:t:b")
    assert redis.hgetall("asynq:nb:trimmed") == {BASE.encode(): b"2"}


@pytest.mark.parametrize("fields", [{"state": "pending"}, {"state": "completed", "claim": "x|y|1"}])
def test_a_cap_removes_no_hash_of_a_task_that_lives_again(
    redis: redis_py.Redis, fields: dict[str, str]
) -> None:
    broker = broker_of(redis, completed_cap=1)
    redis.hset("asynq:t:living", mapping=fields)
    redis.zadd(BASE + "completed", {"living": 1.0})
    redis.set("asynq:t:odd", "no hash")
    redis.zadd(BASE + "completed", {"odd": 2.0})
    push(redis, "a")

    settle(broker, done(claim(broker)[0]))

    assert redis.zrange(BASE + "completed", 0, -1) == [b"a"]
    assert redis.exists("asynq:t:living", "asynq:t:odd") == 2


def test_counters_count_attempts_and_failures_also_by_day(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for task_id, outcome in (("a", done), ("b", retried), ("c", archived)):
        push(redis, task_id)
        settle(broker, outcome(claim(broker)[0]))

    day = redis_day(redis)
    assert redis.get(BASE + "processed") == redis.get(f"{BASE}processed:{day}") == b"3"
    assert redis.get(BASE + "failed") == redis.get(f"{BASE}failed:{day}") == b"2"
    assert redis.ttl(BASE + "processed") == -1
    assert 89 * 86400 < redis.ttl(f"{BASE}processed:{day}") <= 90 * 86400


def redis_day(redis: redis_py.Redis) -> str:
    from datetime import datetime, timezone

    return f"{datetime.fromtimestamp(redis.time()[0], timezone.utc):%Y-%m-%d}"


@pytest.mark.parametrize("make", [done, retried, archived])
@pytest.mark.parametrize("value", ["list", "text", "9223372036854775807"])
def test_a_strangers_counter_costs_the_count_and_never_the_task(
    redis: redis_py.Redis, broker: Broker, make: type[Outcome], value: str
) -> None:
    for name in ("processed", "failed"):
        for key in (BASE + name, f"{BASE}{name}:{redis_day(redis)}"):
            redis.lpush(key, "x") if value == "list" else redis.set(key, value)
    redis.set("asynq:nb:trimmed", "no hash")
    push(redis, "a")

    assert settle(broker_of(redis, completed_cap=0), make(claim(broker)[0])) == ["OK"]


def test_a_task_whose_own_process_died_is_the_next_one_and_counts_a_crash(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    push(redis, "b")
    (task,) = claim(broker)

    assert settle(broker, crashed(task)) == ["OK"]

    assert redis.lrange(BASE + "pending", 0, -1) == [b"b", b"a"]
    assert field(redis, "a", "state") == b"pending"
    assert field(redis, "a", "claim") is None
    assert field(redis, "a", "error_msg") == b"the process that ran it ended"
    assert float(field(redis, "a", "last_failed_at") or 0) > 1.7e9
    assert not redis.exists(BASE + "processed", "asynq:nb:killers")
    assert claim(broker)[0].crashes == 1


def test_a_task_whose_process_died_perhaps_of_another_one_is_a_suspect_and_not_blamed(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    (task,) = claim(broker)

    assert settle(broker, replace(crashed(task), is_known=False)) == ["OK"]

    (again,) = claim(broker)
    assert (again.crashes, again.losses, again.is_suspect) == (0, 1, True)


def test_a_task_whose_own_process_died_three_times_is_archived(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    for _ in range(3):
        assert settle(broker, crashed(claim(broker)[0])) == ["OK"]

    assert places(redis, "a") == ["archived"]
    assert field(redis, "a", "error_msg") == b"killed its worker 3 times"
    assert redis.get(BASE + "processed") == redis.get(BASE + "failed") == b"1"


@pytest.mark.parametrize("make", [done, retried, archived, released, crashed])
def test_no_outcome_takes_a_foreign_workers_entry_out_of_active(
    redis: redis_py.Redis, broker: Broker, make: type[Outcome]
) -> None:
    push(redis, "a")
    redis.rpop(BASE + "pending")
    redis.lpush(BASE + "active", "a")  # a foreign worker runs it
    push(redis, "a")
    (task,) = claim(broker)

    assert settle(broker, make(task)) == ["OK"]

    assert redis.lrange(BASE + "active", 0, -1) == [b"a"]


def test_what_an_earlier_run_left_of_a_foreign_workers_error_goes(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a", state="archived", error="theirs")

    claim(broker)

    assert field(redis, "a", "error") is None


# --- fencing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [done, retried, archived, released])
def test_a_task_that_was_taken_away_is_fenced(
    redis: redis_py.Redis, broker: Broker, make: type[Outcome]
) -> None:
    push(redis, "a")
    (old,) = claim(broker)
    end_lease(redis, "a")
    sweep(broker)
    sweep(broker)

    assert settle(broker, make(old)) == ["FENCED"]
    assert places(redis, "a") == ["pending"]
    (new,) = claim(broker)
    assert settle(broker, make(old)) == ["FENCED"]
    assert places(redis, "a") == ["active", "lease"]
    assert settle(broker, done(new, b'"new"')) == ["OK"]
    assert settle(broker, done(old, b'"old"')) == ["FENCED"]
    assert redis.get("asynq:result:a") == b'"new"'


def test_a_late_outcome_does_not_touch_a_foreign_run(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    (old,) = claim(broker)
    end_lease(redis, "a")
    sweep(broker)
    sweep(broker)
    redis.rpop(BASE + "pending")
    redis.lpush(BASE + "active", "a")

    assert settle(broker, done(old)) == ["FENCED"]
    assert places(redis, "a") == ["active"]

    redis.delete("asynq:t:a")
    assert settle(broker, done(old)) == ["GONE"]
    assert places(redis, "a") == ["active"]


def test_a_token_without_its_lease_counts_nothing(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    (task,) = claim(broker)
    redis.zrem(BASE + "lease", "a")

    assert settle(broker, done(task)) == ["FENCED"]


@pytest.mark.parametrize("after", ["deleted", "overwritten"])
def test_a_task_deleted_while_it_ran_is_gone_from_everywhere(
    redis: redis_py.Redis, broker: Broker, after: str
) -> None:
    push(redis, "a")
    (task,) = claim(broker)
    redis.delete("asynq:t:a")
    if after == "overwritten":
        redis.set("asynq:t:a", "a string")

    assert settle(broker, done(task, b"1")) == ["GONE"]

    assert places(redis, "a") == []
    assert not redis.exists("asynq:result:a")


def test_outcomes_of_several_queues_go_in_one_call(redis: redis_py.Redis, broker: Broker) -> None:
    for number, queue in enumerate((QUEUE, OTHER, QUEUE, OTHER)):
        push(redis, f"t{number}", queue)
    tasks = {task.id: task for task in claim(broker, QUEUE, OTHER, want=4)}
    assert len({task.token for task in tasks.values()}) == 4
    redis.hset("asynq:t:t3", "claim", "somebody else's")

    answer = settled(
        broker, done(tasks["t0"]), archived(tasks["t1"]), retried(tasks["t2"]), done(tasks["t3"])
    )

    assert answer.answers == ["OK", "OK", "OK", "FENCED"]
    assert places(redis, "t0") == ["completed"]
    assert places(redis, "t1", OTHER) == ["archived"]
    assert places(redis, "t2") == ["retry"]
    assert places(redis, "t3", OTHER) == ["active", "lease"]


KEYS_OF_A_QUEUE = ("pending", "active", "lease", "retry", "archived", "completed", "scheduled")
WRITTEN_BY_A_COMPLETION = ("active", "lease", "completed")


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *itertools.product([retried, archived, released], KEYS_OF_A_QUEUE),
        *itertools.product([done], WRITTEN_BY_A_COMPLETION),
    ],
)
def test_no_outcome_is_half_written_where_a_key_has_a_wrong_type(
    redis: redis_py.Redis, broker: Broker, make: type[Outcome], name: str
) -> None:
    push(redis, "a")
    push(redis, "b", OTHER)
    bad, good = claim(broker, QUEUE, OTHER, want=2)
    aside = redis.exists(BASE + name) and redis.rename(BASE + name, "aside")
    redis.set(BASE + name, "something else")

    answer = settled(broker, make(bad), done(good))

    assert answer.answers == ["UNSOUND", "OK"]
    assert [flaw.key for flaw in answer.unsound] == [BASE + name]
    redis.delete(BASE + name)
    if aside:
        redis.rename("aside", BASE + name)
    assert places(redis, "a") == ["active", "lease"]
    assert settle(broker, make(bad)) == ["OK"]


@pytest.mark.parametrize("name", ["pending", "retry", "archived", "scheduled"])
def test_a_completion_is_written_whatever_became_of_keys_that_it_does_not_touch(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    push(redis, "a")
    (task,) = claim(broker)
    redis.set(BASE + name, "something else")

    assert settle(broker, done(task)) == ["OK"]

    assert redis.zrange(f"{BASE}completed", 0, -1) == [b"a"]


def test_a_waiting_room_of_a_wrong_type_costs_no_id(redis: redis_py.Redis, broker: Broker) -> None:
    redis.lpush(f"{BASE}pending", "no hash yet")
    redis.set("asynq:nb:waiting", "something else")

    answer = broker.settle(exchange(queues=(QUEUE,), want=1), lease=15.0)

    assert answer.tasks == []
    assert [(flaw.key, flaw.found) for flaw in answer.unsound] == [("asynq:nb:waiting", "string")]
    assert redis.lrange(f"{BASE}pending", 0, -1) == [b"no hash yet"]


# --- replay --------------------------------------------------------------------------------------


def test_a_reply_that_was_lost_is_given_again_and_counts_once(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for task_id in "abc":
        push(redis, task_id)
    (task,) = claim(broker)
    asked = exchange(done(task), queues=(QUEUE,), want=1)

    first = broker.settle(asked, lease=15.0)
    again = broker.settle(asked, lease=15.0, again=True)

    assert again == first
    assert first.answers == ["OK"]
    assert [task.id for task in first.tasks] == ["b"]
    assert redis.get(BASE + "processed") == b"1"
    assert places(redis, "c") == ["pending"]


def test_a_request_that_never_arrived_is_carried_out_when_asked_again(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    (task,) = claim(broker)

    answer = broker.settle(exchange(done(task)), lease=15.0, again=True)

    assert answer.answers == ["OK"]
    assert places(redis, "a") == ["completed"]


def test_a_request_that_arrives_after_it_was_given_up_and_repeated_does_nothing(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")
    push(redis, "b")
    late = exchange(queues=(QUEUE,), want=1)
    broker.settle(exchange(queues=(QUEUE,), want=1), lease=15.0)

    answer = broker.settle(late, lease=15.0)

    assert (answer.answers, answer.tasks, answer.unsound) == ([], [], [])
    assert places(redis, "b") == ["pending"]


def test_a_slots_tenth_request_is_later_than_its_ninth(
    redis: redis_py.Redis, broker: Broker
) -> None:
    asked = exchange(queues=(QUEUE,), want=1)
    push(redis, "a")
    broker.settle(asked._replace(nonce="w/1:9"), lease=15.0)
    push(redis, "b")

    answer = broker.settle(asked._replace(nonce="w/1:10"), lease=15.0)

    assert [task.id for task in answer.tasks] == ["b"]


def test_another_slots_reply_is_not_given(redis: redis_py.Redis, broker: Broker) -> None:
    push(redis, "a")
    push(redis, "b")
    claim(broker, slot="w/1")

    answer = broker.settle(exchange(queues=(QUEUE,), want=1, slot="w/2"), lease=15.0, again=True)

    assert [task.id for task in answer.tasks] == ["b"]


@pytest.mark.parametrize("after", ["taken away", "deleted", "no hash any more"])
def test_a_reply_given_again_late_leaves_out_what_is_no_longer_held(
    redis: redis_py.Redis, broker: Broker, after: str
) -> None:
    push(redis, "a")
    push(redis, "b")
    asked = exchange(queues=(QUEUE,), want=2)
    broker.settle(asked, lease=15.0)
    if after == "taken away":
        end_lease(redis, "a")
        sweep(broker)
        sweep(broker)
    else:
        redis.delete("asynq:t:a")
    if after == "no hash any more":
        redis.set("asynq:t:a", "x")

    again = broker.settle(asked, lease=15.0, again=True)

    assert [task.id for task in again.tasks] == ["b"]


def test_a_remembered_reply_ends_by_itself_and_a_strange_one_is_replaced(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.lpush("asynq:nb:reply:w/1", "a stranger's")
    push(redis, "a")
    asked = exchange(queues=(QUEUE,), want=1)

    assert len(broker.settle(asked, lease=15.0, again=True).tasks) == 1

    assert 500 < redis.ttl("asynq:nb:reply:w/1") <= 600


def test_an_idle_claim_writes_nothing(redis: redis_py.Redis, broker: Broker) -> None:
    assert claim(broker, QUEUE, OTHER) == []

    assert redis.keys() == []


# --- full memory ---------------------------------------------------------------------------------


@contextmanager
def full_memory(redis: redis_py.Redis) -> Iterator[None]:
    redis.config_set("maxmemory", "1")
    try:
        yield
    finally:
        redis.config_set("maxmemory", "0")


def test_with_full_memory_all_outcomes_and_claims_go_on(
    redis: redis_py.Redis, broker: Broker
) -> None:
    for task_id in "abcdefg":
        push(redis, task_id)
    tasks = {task.id: task for task in claim(broker, want=5)}
    other = tasks["b"]._replace(token=b"an older one")
    redis.zadd(BASE + "retry", {"x": 1.0})
    redis.hset("asynq:t:x", mapping={"state": "retry", "payload": "{}"})

    with full_memory(redis):
        assert settle(broker, done(tasks["a"], b"1")) == ["OK"]
        assert settle(broker, done(tasks["a"])) == ["FENCED"]
        assert settle(broker, replace(done(tasks["a"]), task=other)) == ["FENCED"]
        assert settle(broker, retried(tasks["b"])) == ["OK"]
        assert settle(broker, archived(tasks["c"])) == ["OK"]
        assert settle(broker, released(tasks["d"])) == ["OK"]
        assert [task.id for task in claim(broker, want=2)] == ["d", "f"]
        assert broker.renew([tasks["e"]], lease=15.0) == ["HELD"]
    end_lease(redis, "e")
    with full_memory(redis):
        assert [event.kind for event in sweep(broker)] == ["suspect"]
        assert [event.kind for event in sweep(broker)] == ["redelivered"]

    assert places(redis, "x") == ["pending"]
    assert [task.id for task in claim(broker, want=5)] == ["e", "g", "x"]


def test_a_new_broker_needs_no_memory_of_what_an_older_one_enqueued(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    redis.script_flush()

    assert [task.id for task in claim(broker_of(redis))] == ["a"]
