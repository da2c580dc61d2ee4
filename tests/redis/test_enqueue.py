"""Enqueueing: one call writes all of a batch or nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.exchanges import Keeping, WrongTypeError
from runqy_notebook.broker.guardian import DOUBTFUL, PROVEN
from runqy_notebook.broker.writing import Entries
from runqy_notebook.errors import ConnectionFailedError, TaskConflictError
from tests.broking import (
    BASE,
    QUEUE,
    archived,
    broker_of,
    claim,
    done,
    enqueue,
    field,
    lose,
    places,
    push,
    settle,
)
from tests.waiting import wait_until

KEYS_OF_A_QUEUE = ("pending", "active", "lease", "retry", "scheduled", "archived", "completed")


def test_a_task_is_a_hash_and_an_id_on_the_left_of_pending(
    redis: redis_py.Redis, broker: Broker
) -> None:
    broker.enqueue(QUEUE, [("a", b'{"x": 1}'), ("b", b"{}")], {"type": "task", "retry": "0"})

    assert redis.lrange(BASE + "pending", 0, -1) == [b"b", b"a"]
    stored = redis.hgetall("asynq:t:a")
    assert float(stored.pop(b"enqueued_at")) > 1.7e9
    assert stored == {
        b"payload": b'{"x": 1}',
        b"type": b"task",
        b"retry": b"0",
        b"queue": QUEUE.encode(),
        b"state": b"pending",
    }
    assert redis.smembers("asynq:queues") == {QUEUE.encode()}
    assert redis.ttl("asynq:t:a") == -1


@pytest.mark.parametrize("due", ["0", "+60"])
def test_a_batch_larger_than_one_command_takes_is_written_in_order(
    redis: redis_py.Redis, broker: Broker, due: str
) -> None:
    ids = [f"{n:05}" for n in range(2_500)]

    enqueue(broker, *ids, due=due)

    listed = redis.lrange(BASE + "pending", 0, -1)[::-1] or redis.zrange(BASE + "scheduled", 0, -1)
    assert [task_id.decode() for task_id in listed] == ids
    assert field(redis, "02499", "state") == (b"pending" if due == "0" else b"scheduled")


def test_batches_keep_their_order_where_the_server_forgets_the_script_between_them(
    redis: redis_py.Redis, broker: Broker
) -> None:
    ids = [f"t{n}" for n in range(8)]

    def batches() -> Iterator[Entries]:
        for task_id in ids:
            if task_id == "t3":
                redis.script_flush()
            yield [(task_id, b"{}")]

    enqueued = list(broker.write_each(broker.writing(QUEUE, {"type": "task"}), batches()))

    assert [each.existed for each in enqueued] == [set()] * 8
    pending: Any = redis.lrange(f"{BASE}pending", 0, -1)
    assert [each.decode() for each in reversed(pending)] == ids


def test_of_batches_after_one_that_is_refused_at_most_one_is_written(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "old")
    batches = [[("t1", b"{}")], [("old", b"{}")], [("t2", b"{}")], [("t3", b"{}")]]

    with pytest.raises(TaskConflictError):
        list(broker.write_each(broker.writing(QUEUE, {"type": "task"}), batches))

    assert places(redis, "t1") == ["pending"]
    assert places(redis, "t3") == []
    enqueue(broker, "t4")
    assert places(redis, "t4") == ["pending"]


@pytest.mark.parametrize("due", ["+60", "4000000000"])
def test_a_task_of_the_future_is_scheduled(redis: redis_py.Redis, broker: Broker, due: str) -> None:
    enqueue(broker, "a", due=due)

    expected = redis.time()[0] + 60 if due == "+60" else 4_000_000_000
    assert redis.zscore(BASE + "scheduled", "a") == pytest.approx(expected, abs=2)
    assert places(redis, "a") == ["scheduled"]
    assert field(redis, "a", "state") == b"scheduled"


@pytest.mark.parametrize("due", ["0", "+0", "1000"])
def test_a_task_of_the_past_is_pending_at_once(
    redis: redis_py.Redis, broker: Broker, due: str
) -> None:
    enqueue(broker, "a", due=due)

    assert places(redis, "a") == ["pending"]


@pytest.mark.parametrize("state", ["pending", "active", "retry", "scheduled", None])
def test_an_unfinished_id_is_a_conflict_and_nothing_of_the_batch_is_written(
    redis: redis_py.Redis, broker: Broker, state: str | None
) -> None:
    redis.hset("asynq:t:old", mapping={"payload": "mine", **({"state": state} if state else {})})

    with pytest.raises(TaskConflictError, match=state or "pending"):
        enqueue(broker, "new", "old")

    assert redis.keys() == [b"asynq:t:old"]
    assert field(redis, "old", "payload") == b"mine"


def test_an_id_twice_in_one_batch_is_a_conflict_too(redis: redis_py.Redis, broker: Broker) -> None:
    with pytest.raises(TaskConflictError):
        enqueue(broker, "same", "same")

    assert redis.keys() == []


@pytest.mark.parametrize("state", ["completed", "archived"])
def test_a_finished_task_is_replaced_with_everything_it_left(
    redis: redis_py.Redis, broker: Broker, state: str
) -> None:
    enqueue(broker, "a")
    (task,) = claim(broker)
    settle(broker, done(task, b'"old"') if state == "completed" else archived(task))
    redis.set("asynq:result:a", '"old"')

    assert enqueue(broker, "a") == set()

    assert places(redis, "a") == ["pending"]
    assert redis.ttl("asynq:t:a") == -1
    assert not redis.exists("asynq:result:a")
    assert {b"completed_at", b"last_failed_at", b"error_msg", b"starts"}.isdisjoint(
        redis.hkeys("asynq:t:a")
    )


def test_a_task_that_runs_is_no_finished_one_whatever_a_foreign_worker_wrote(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    (task,) = claim(broker)
    redis.hset("asynq:t:a", "state", "completed")

    with pytest.raises(TaskConflictError):
        enqueue(broker, "a")

    assert settle(broker, done(task)) == ["OK"]


def test_unique_gives_the_unfinished_task_back(redis: redis_py.Redis, broker: Broker) -> None:
    enqueue(broker, "a")

    assert enqueue(broker, "new", "a", "new", unique_age=0) == {1, 2}

    assert redis.lrange(BASE + "pending", 0, -1) == [b"new", b"a"]


@pytest.mark.parametrize(("age", "kept"), [(3600, {0}), (0, set())])
def test_unique_gives_a_finished_task_back_while_it_is_young(
    broker: Broker, age: float, kept: set[int]
) -> None:
    enqueue(broker, "a")
    (task,) = claim(broker)
    settle(broker, done(task))

    assert enqueue(broker, "a", unique_age=age) == kept


def test_a_finished_task_of_a_producer_whose_clock_is_ahead_is_not_young_for_ever(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    settle(broker, done(claim(broker)[0]))
    redis.hset("asynq:t:a", "enqueued_at", redis.time()[0] + 3600)

    assert enqueue(broker, "a", unique_age=0) == set()

    assert places(redis, "a") == ["pending"]


@pytest.mark.parametrize("name", KEYS_OF_A_QUEUE)
def test_a_queue_with_a_key_of_a_wrong_type_takes_nothing(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    redis.set(BASE + name, "something else")

    with pytest.raises(WrongTypeError, match=f"{BASE}{name}.* holds a string"):
        enqueue(broker, "a")

    assert redis.keys() == [f"{BASE}{name}".encode()]


def test_a_queue_s_keys_are_believed_for_a_second_once_they_were_looked_at(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    redis.set(f"{BASE}lease", "something else")

    numbers = itertools.count()

    def is_refused() -> bool:
        try:
            enqueue(broker, f"b{next(numbers)}")
        except WrongTypeError:
            return True
        return False

    wait_until(is_refused, "the queue is never looked at again")
    assert redis.lrange(f"{BASE}pending", -2, -1) == [b"b0", b"a"]


@pytest.mark.parametrize("name", ["pending", "scheduled"])
def test_a_list_that_is_none_any_more_refuses_the_task_whenever_it_was_looked_at(
    redis: redis_py.Redis, broker: Broker, name: str
) -> None:
    due = "+100" if name == "scheduled" else "0"
    enqueue(broker, "a", due=due)
    redis.set(BASE + name, "something else")

    with pytest.raises(WrongTypeError, match=f"{BASE}{name}.* holds a string"):
        enqueue(broker, "b", due=due)
    with pytest.raises(WrongTypeError, match=f"{BASE}{name}.* holds a string"):
        enqueue(broker, "b", due=due)

    assert not redis.exists("asynq:t:b")


def test_what_is_enqueued_without_a_look_makes_no_look_needless(
    redis: redis_py.Redis, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer that is never idle has a call under way at each moment at which a look is due."""
    monkeypatch.setattr("runqy_notebook.broker.broker.SOUND_FOR", 0.3)
    enqueue(broker, "looks")
    redis.client_pause(400)
    enqueue(broker, "looks not")
    redis.set(f"{BASE}lease", "something else")

    with pytest.raises(WrongTypeError, match=f"{BASE}lease.* holds a string"):
        enqueue(broker, "a")


def test_no_task_is_half_replaced_where_a_key_was_sound_a_moment_ago(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "old")
    settle(broker, *map(done, claim(broker)))
    redis.set(f"{BASE}archived", "something else")

    with pytest.raises(WrongTypeError, match=f"{BASE}archived.* holds a string"):
        enqueue(broker, "new", "old")

    assert redis.lrange(f"{BASE}pending", 0, -1) == []
    assert redis.zrange(f"{BASE}completed", 0, -1) == [b"old"]
    assert field(redis, "old", "state") == b"completed"


def test_who_may_not_ask_whether_news_are_heard_is_refused_before_anything_is_written(
    redis: redis_py.Redis,
) -> None:
    redis.execute_command("ACL", "SETUSER", "deaf", "on", "nopass", "~*", "&*", "+@all")
    redis.execute_command("ACL", "SETUSER", "deaf", "-pubsub", "+pubsub|numsub")
    port = redis.connection_pool.connection_kwargs["port"]

    with (
        redis_py.Redis(port=port, username="deaf", password="x") as deaf,
        pytest.raises(ConnectionFailedError),
    ):
        enqueue(broker_of(deaf), "a")

    assert redis.keys() == []


def test_nothing_is_listed_where_the_set_of_queues_is_none_any_more(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    redis.set("asynq:queues", "something else")

    with pytest.raises(WrongTypeError, match=r"asynq:queues.* holds a string"):
        enqueue(broker, "b")

    assert redis.lrange(f"{BASE}pending", 0, -1) == [b"a"]


@pytest.mark.parametrize("key", ["asynq:t:b", "asynq:queues"])
def test_other_keys_of_a_wrong_type_refuse_the_whole_batch(
    redis: redis_py.Redis, broker: Broker, key: str
) -> None:
    redis.lpush(key, "something else")

    with pytest.raises(WrongTypeError, match=f"{key}.* holds a list"):
        enqueue(broker, "a", "b", "c")

    assert redis.keys() == [key.encode()]


def test_a_foreign_task_that_was_pushed_is_a_conflict(
    redis: redis_py.Redis, broker: Broker
) -> None:
    push(redis, "a")

    with pytest.raises(TaskConflictError, match="pending"):
        enqueue(broker, "a")


def test_with_full_memory_a_producer_gets_one_clear_error_and_nothing_is_written(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.config_set("maxmemory", "1")
    try:
        with pytest.raises(ConnectionFailedError, match="memory is full"):
            enqueue(broker, "a", "b")
    finally:
        redis.config_set("maxmemory", "0")

    assert redis.keys() == []


def test_with_full_memory_a_producer_gets_back_what_exists(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    redis.config_set("maxmemory", "1")
    try:
        assert enqueue(broker, "a", unique_age=60) == {0}
    finally:
        redis.config_set("maxmemory", "0")


# --- keeping what is done --------------------------------------------------------------------


def kept(broker: Broker, *ids: str, keeping: Keeping = Keeping.RESULTS) -> set[int]:
    """The positions of those that were not written anew."""
    return enqueue(broker, *ids, keeping=keeping)


@pytest.mark.parametrize("keeping", Keeping)
def test_a_task_whose_result_is_stored_is_kept(
    redis: redis_py.Redis, broker: Broker, keeping: Keeping
) -> None:
    enqueue(broker, "a", "b", "c")
    a, b, _ = claim(broker, want=3)
    settle(broker, done(a, b"1"), done(b))

    assert kept(broker, "d", "a", "b", "c", keeping=keeping) == {1, 3}
    assert field(redis, "a", "state") == b"completed"
    assert places(redis, "b") == places(redis, "d") == ["pending"]
    assert redis.get("asynq:result:a") == b"1"
    assert not redis.exists("asynq:result:b")


def test_a_result_counts_without_its_tasks_record(redis: redis_py.Redis, broker: Broker) -> None:
    redis.set("asynq:result:a", "1")

    assert kept(broker, "b", "a") == {1}
    assert not redis.exists("asynq:t:a")
    assert places(redis, "a") == []
    assert places(redis, "b") == ["pending"]


def test_elsewhere_a_result_without_its_record_counts_for_nothing(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.set("asynq:result:a", "1")

    assert enqueue(broker, "a") == enqueue(broker, "b", unique_age=60) == set()
    assert places(redis, "a") == ["pending"]


def test_what_was_archived_is_kept_only_where_asked(redis: redis_py.Redis, broker: Broker) -> None:
    enqueue(broker, "a", "b")
    settle(broker, *map(archived, claim(broker, want=2)))
    redis.set("asynq:result:b", "of an earlier run")

    assert kept(broker, "a", "b", keeping=Keeping.RESULTS_AND_FAILED) == {0, 1}
    assert kept(broker, "a", "b") == set()
    assert places(redis, "a") == places(redis, "b") == ["pending"]
    assert not redis.exists("asynq:result:b")


@pytest.mark.parametrize("blames", [[PROVEN] * 3, [DOUBTFUL, PROVEN, PROVEN], [DOUBTFUL] * 2])
def test_what_was_archived_with_several_deaths_is_a_suspect_when_it_is_asked_for_again(
    redis: redis_py.Redis, broker: Broker, blames: list[int]
) -> None:
    enqueue(broker, "innocent", "a")
    settle(broker, *map(archived, claim(broker)))
    for blame in blames:
        lose(redis, (claim(broker)[0], blame))
    settle(broker, *map(archived, claim(broker)))  # of those that are not yet

    assert kept(broker, "innocent", "a", keeping=Keeping.RESULTS_AND_FAILED) == {0, 1}
    for _ in range(2):  # and for ever: what failed otherwise may kill yet
        assert kept(broker, "new", "innocent", "a") == set()
        tasks = claim(broker, want=9)
        assert {task.id: (task.crashes, task.losses) for task in tasks} == {
            "new": (0, 0),
            "innocent": (0, 0),
            "a": (0, 2),
        }
        settle(broker, *map(archived, tasks))


@pytest.mark.parametrize("blame", [PROVEN, DOUBTFUL])
def test_what_was_archived_with_one_death_is_no_suspect_when_it_is_asked_for_again(
    redis: redis_py.Redis, broker: Broker, blame: int
) -> None:
    enqueue(broker, "a")
    lose(redis, (claim(broker)[0], blame))
    settle(broker, archived(claim(broker)[0]))

    kept(broker, "a")

    assert not claim(broker)[0].is_suspect


def test_a_suspect_that_was_done_or_whose_id_got_a_new_task_is_none_any_more(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "done", "new")
    for _ in range(2):
        lose(redis, *((task, DOUBTFUL) for task in claim(broker, want=2)))
    ended, failed = sorted(claim(broker, want=2))
    settle(broker, done(ended), archived(failed))

    kept(broker, "done")
    enqueue(broker, "new")

    assert [task.is_suspect for task in claim(broker, want=2)] == [False, False]


def test_among_many_that_are_new_one_that_is_done_is_found(
    redis: redis_py.Redis, broker: Broker
) -> None:
    redis.set("asynq:result:01500", "1")

    assert kept(broker, *(f"{n:05}" for n in range(2_500))) == {1_500}
    assert redis.llen(BASE + "pending") == 2_499


def test_a_task_that_runs_is_kept_whatever_result_is_there(
    redis: redis_py.Redis, broker: Broker
) -> None:
    enqueue(broker, "a")
    claim(broker)
    redis.hset("asynq:t:a", "state", "completed")  # as an outsider may say

    assert kept(broker, "a") == {0}
    assert places(redis, "a") == ["active", "lease"]
