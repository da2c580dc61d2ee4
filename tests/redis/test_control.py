"""Control: what cancel, run now, delete, pause and purge do to a task, wherever it stands."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.control import Answer, Control
from runqy_notebook.broker.exchanges import WrongTypeError
from runqy_notebook.broker.inspect import Inspector
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import to_text
from runqy_notebook.wire.outcomes import Crashed
from runqy_notebook.wire.states import State
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
    released,
    retried,
    settle,
    sweep,
)

OTHER = "mail_high"
ID = "t1"


@pytest.fixture
def broker(redis: redis_py.Redis) -> Broker:
    return broker_of(redis)


@pytest.fixture
def control(broker: Broker) -> Control:
    return Control(broker, Inspector(broker.client))


def in_state(broker: Broker, state: str, task_id: str = ID) -> Task | None:
    """A task as it is in this state, and as its worker knows it where one of ours has it."""
    make: dict[str, Callable[[Broker, str], Task | None]] = {
        "pending": _pending,
        "scheduled": lambda b, i: enqueue(b, i, due="+1000") and None,
        "retry": lambda b, i: settle(b, retried(_active(b, i))) and None,
        "without a hash": _without_a_hash,
        "active": _active,
        "active elsewhere": _foreign,
        "active without its lease": _unleased,
        "completed": lambda b, i: settle(b, done(_active(b, i), b"7")) and None,
        "archived": lambda b, i: settle(b, archived(_active(b, i))) and None,
        "completed elsewhere": lambda b, i: _nowhere(b, i, "completed"),
        "archived elsewhere": lambda b, i: _nowhere(b, i, "archived"),
        "nowhere": lambda b, i: _nowhere(b, i, "pending"),
        "kept elsewhere for a retry": lambda b, i: _nowhere(b, i, "retry"),
        "unknown": lambda b, i: None,
    }
    return make[state](broker, task_id)


def _pending(broker: Broker, task_id: str) -> None:
    push(broker.client, task_id, payload='{"x": 1}')


def _active(broker: Broker, task_id: str) -> Task:
    push(broker.client, task_id, payload='{"x": 1}')
    (task,) = claim(broker)
    return task


def _without_a_hash(broker: Broker, task_id: str) -> None:
    broker.client.sadd("asynq:queues", QUEUE)
    broker.client.lpush(BASE + "pending", task_id)
    claim(broker)


def _foreign(broker: Broker, task_id: str) -> None:
    push(broker.client, task_id)
    broker.client.rpop(BASE + "pending")
    broker.client.lpush(BASE + "active", task_id)
    broker.client.hset(f"asynq:t:{task_id}", "state", "active")


def _unleased(broker: Broker, task_id: str) -> None:
    _active(broker, task_id)
    broker.client.zrem(BASE + "lease", task_id)


def _nowhere(broker: Broker, task_id: str, state: str) -> None:
    push(broker.client, task_id, state=state)
    broker.client.rpop(BASE + "pending")


def word(answers: list[Answer]) -> tuple[str, str]:
    (answer,) = answers
    return answer.word, answer.state


# --- cancel --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state", ["pending", "scheduled", "retry", "without a hash", "active without its lease"]
)
def test_what_waits_is_archived_as_cancelled_and_never_claimed(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    in_state(broker, state)

    (answer,) = control.cancel([ID])

    assert (answer.word, answer.queue) == ("CANCELLED", QUEUE)
    assert places(redis, ID) == ["archived"]
    assert field(redis, ID, "state") == b"archived"
    assert field(redis, ID, "error_msg") == b"cancelled"
    assert 0 < redis.ttl(f"asynq:t:{ID}") <= 7200
    let_waiting_be_due(redis)
    sweep(broker)
    assert claim(broker) == []


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("active elsewhere", ("FOREIGN", "")),
        ("completed", ("FINISHED", "completed")),
        ("archived", ("FINISHED", "archived")),
        ("completed elsewhere", ("FINISHED", "completed")),
        ("archived elsewhere", ("FINISHED", "archived")),
        ("nowhere", ("NOWHERE", "pending")),
        ("kept elsewhere for a retry", ("NOWHERE", "retry")),
        ("unknown", ("GONE", "")),
    ],
)
def test_what_cannot_be_cancelled_stays_as_it_is(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str, answer: tuple[str, str]
) -> None:
    in_state(broker, state)
    before = everything(redis)

    assert word(control.cancel([ID])) == answer
    assert everything(redis) == before


@pytest.mark.parametrize("state", ["pending", "active"])
def test_cancelling_twice_is_cancelling_once(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    in_state(broker, state)

    first = control.cancel([ID, ID])
    second = control.cancel([ID])

    assert [a.word for a in first] == {
        "pending": ["CANCELLED", "CANCELLED"],
        "active": ["CANCELLING", "CANCELLING"],
    }[state]
    assert (
        word(second)
        == {
            "pending": ("FINISHED", "archived"),
            "active": ("CANCELLING", ""),
        }[state]
    )


@pytest.mark.parametrize("outcome", [done, archived, released, retried, "crashed"])
def test_a_running_task_ends_as_cancelled_whatever_becomes_of_it(
    redis: redis_py.Redis, broker: Broker, control: Control, outcome: Callable[[Task], object]
) -> None:
    task = in_state(broker, "active")
    assert task

    assert word(control.cancel([ID])) == ("CANCELLING", "")
    assert places(redis, ID) == ["active", "lease"]
    assert broker.renew([task], lease=15.0) == ["CANCELLED"]
    made = Crashed(task, "killed") if outcome == "crashed" else outcome(task)
    assert settle(broker, made) == ["CANCELLED"]

    assert places(redis, ID) == ["archived"]
    assert field(redis, ID, "error_msg") == b"cancelled"
    assert field(redis, ID, "cancel") is None
    assert redis.keys("asynq:result:*") == []
    assert redis.get(BASE + "processed") == b"1"
    assert redis.get(BASE + "failed") is None
    assert settle(broker, done(task)) == ["FENCED"]


def test_a_cancelled_task_whose_worker_died_is_not_run_again(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "active")
    control.cancel([ID])
    end_lease(redis, ID)

    sweep(broker)
    events = sweep(broker)

    assert [(event.kind, event.task_id) for event in events] == [("cancelled", ID)]
    assert places(redis, ID) == ["archived"]
    assert field(redis, ID, "error_msg") == b"cancelled"


def test_copies_of_a_cancelled_task_do_not_run_either(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    task = in_state(broker, "active")
    assert task
    push(redis, ID)
    push(redis, ID)
    claim(broker)
    push(redis, ID)
    assert sorted(places(redis, ID)) == ["active", "lease", "pending", "waiting"]

    control.cancel([ID])
    settle(broker, done(task))
    let_waiting_be_due(redis)
    sweep(broker)

    assert places(redis, ID) == ["archived"]


def test_an_id_that_is_pushed_again_after_it_was_cancelled_runs(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "pending")
    control.cancel([ID])
    push(redis, ID, cancel="1")

    (task,) = claim(broker)

    assert broker.renew([task], lease=15.0) == ["HELD"]
    assert settle(broker, done(task)) == ["OK"]


def test_many_are_cancelled_in_few_calls_each_with_its_own_answer(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    ids = [f"t{number}" for number in range(120)]
    enqueue(broker, *ids[:60])
    enqueue(broker, *ids[60:], queue=OTHER)
    calls = redis.info("commandstats")["cmdstat_evalsha"]["calls"]

    answers = control.cancel([*ids, "unknown"])

    made = redis.info("commandstats")["cmdstat_evalsha"]["calls"] - calls
    assert [a.task_id for a in answers] == [*ids, "unknown"]
    assert [a.word for a in answers] == ["CANCELLED"] * 120 + ["GONE"]
    assert made <= 5
    assert redis.zcard(BASE + "archived") == redis.zcard(f"asynq:{OTHER}:archived") == 60


def test_the_worker_is_told_on_the_control_channel(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    push(redis, b"\xff odd")
    claim(broker)
    heard = redis.pubsub(ignore_subscribe_messages=True)
    heard.subscribe("asynq:nb:control:0")
    heard.get_message(timeout=1)

    control.cancel(["\udcff odd"])

    message = heard.get_message(timeout=2)
    heard.close()
    assert message
    assert message["data"] == b"cancel \xff odd"


# --- run now -------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "active without its lease"])
def test_what_waits_is_the_next_to_run(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    in_state(broker, state)
    retry = field(redis, ID, "retry")
    push(redis, "before") if state == "pending" else enqueue(broker, "before")
    redis.rpoplpush(BASE + "pending", BASE + "pending")

    assert control.run_now(ID).word == "NEXT"

    assert places(redis, ID) == ["pending"]
    assert field(redis, ID, "state") == b"pending"
    (task,) = claim(broker)
    assert task.id == ID
    assert field(redis, ID, "retry") == retry


@pytest.mark.parametrize(
    "state", ["completed", "archived", "completed elsewhere", "archived elsewhere", "cancelled"]
)
def test_what_is_finished_runs_once_more_as_if_for_the_first_time(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    if state == "cancelled":
        in_state(broker, "pending")
        control.cancel([ID])
    else:
        in_state(broker, state)
    redis.hset(f"asynq:t:{ID}", mapping={"retry": "3", "crashes": "2", "error": "theirs"})
    payload = field(redis, ID, "payload")
    redis.rpush(f"asynq:nb:log:{ID}", "a line of its earlier run")
    enqueue(broker, "before")

    assert control.run_now(ID).word == "AGAIN"

    assert places(redis, ID) == ["pending"]
    assert redis.ttl(f"asynq:t:{ID}") == -1
    assert redis.exists(f"asynq:result:{ID}", f"asynq:nb:log:{ID}") == 0
    (task,) = claim(broker)
    assert (task.id, task.retry, task.crashes, task.payload) == (ID, 0, 0, payload)
    assert field(redis, ID, "starts") == b"1"
    assert field(redis, ID, "error") is field(redis, ID, "error_msg") is None
    assert settle(broker, done(task)) == ["OK"]


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("active", "RUNNING"),
        ("active elsewhere", "FOREIGN"),
        ("without a hash", "WAITING"),
        ("nowhere", "NOWHERE"),
        ("kept elsewhere for a retry", "NOWHERE"),
        ("unknown", "GONE"),
    ],
)
def test_what_cannot_be_run_now_stays_as_it_is(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str, answer: str
) -> None:
    in_state(broker, state)
    before = everything(redis)

    assert control.run_now(ID).word == answer
    assert everything(redis) == before


@pytest.mark.parametrize("missing", ["payload", "hash"])
def test_a_record_without_what_is_to_run_cannot_be_run_again(
    redis: redis_py.Redis, broker: Broker, control: Control, missing: str
) -> None:
    in_state(broker, "completed")
    redis.delete(f"asynq:t:{ID}") if missing == "hash" else redis.hdel(f"asynq:t:{ID}", "payload")

    assert control.run_now(ID).word == "GONE"

    assert places(redis, ID) == ["completed"]


def test_nothing_is_put_into_a_queue_with_a_key_of_a_wrong_type(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "archived elsewhere")
    redis.set(BASE + "retry", "text")
    before = everything(redis)

    assert control.run_now(ID).word == "WRONGTYPE"

    assert everything(redis) == before


def test_what_is_to_run_now_is_neither_claimed_nor_cancelled_any_more(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "scheduled")
    redis.hset(f"asynq:t:{ID}", mapping={"claim": "a stale one", "cancel": "1"})

    assert control.run_now(ID).word == "NEXT"

    assert field(redis, ID, "claim") is field(redis, ID, "cancel") is None


def test_running_now_twice_runs_once(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "completed")

    assert [control.run_now(ID).word for _ in range(2)] == ["AGAIN", "NEXT"]
    assert places(redis, ID) == ["pending"]


def test_a_finished_task_of_no_queue_is_not_guessed_into_one(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "completed elsewhere")
    redis.hdel(f"asynq:t:{ID}", "queue")
    enqueue(broker, "other", queue=OTHER)

    assert control.run_now(ID).word == "NOWHERE"
    assert redis.llen(f"asynq:{OTHER}:pending") == 1


# --- delete --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        "pending",
        "scheduled",
        "retry",
        "without a hash",
        "active without its lease",
        "completed",
        "archived",
        "completed elsewhere",
        "nowhere",
    ],
)
def test_a_deleted_task_leaves_nothing(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    in_state(broker, state)
    redis.rpush(f"asynq:nb:log:{ID}", "a line")
    redis.hset(f"asynq:nb:said:{ID}", "lines", "1")

    assert [answer.word for answer in control.delete([ID])] == ["DELETED"]

    assert places(redis, ID) == []
    assert [key for key in redis.keys("*") if ID.encode() in key] == []
    assert word(control.delete([ID])) == ("GONE", "")


@pytest.mark.parametrize(
    ("state", "answer"),
    [("active", "RUNNING"), ("active elsewhere", "FOREIGN"), ("unknown", "GONE")],
)
def test_what_cannot_be_deleted_stays_as_it_is(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str, answer: str
) -> None:
    in_state(broker, state)
    before = everything(redis)

    assert [each.word for each in control.delete([ID])] == [answer]
    assert everything(redis) == before


# --- pause, resume -------------------------------------------------------------------------------


def test_a_paused_queue_is_not_claimed_from_until_it_is_resumed(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    push(redis, "a")
    push(redis, "b", OTHER)

    _, paused = control.pause([QUEUE])
    assert paused == [QUEUE]
    assert [task.id for task in claim(broker, QUEUE, OTHER, want=5)] == ["b"]
    assert control.pause([QUEUE, OTHER])[1] == [OTHER]

    assert control.resume([QUEUE])[1] == [QUEUE]
    assert control.resume([QUEUE])[1] == []
    assert [task.id for task in claim(broker, QUEUE, OTHER, want=5)] == ["a"]


def test_a_pause_of_another_kind_is_a_pause_too(redis: redis_py.Redis, control: Control) -> None:
    redis.lpush(BASE + "paused", "an outsider's")

    assert control.pause([QUEUE])[1] == []
    assert redis.type(BASE + "paused") == b"list"
    assert control.resume([QUEUE])[1] == [QUEUE]


# --- purge ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "completed", "archived"])
def test_a_purge_removes_one_state_of_one_queue(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    for each in ("scheduled", "retry", "completed", "archived"):
        in_state(broker, each, f"the {each} one")
    in_state(broker, "pending", "the pending one")
    enqueue(broker, "another", queue=OTHER)

    gone = list(control.purge(QUEUE, State(state), 10))

    assert [answer.task_id for answer in gone] == [f"the {state} one"]
    assert places(redis, f"the {state} one") == []
    assert [key for key in redis.keys("*") if key.endswith(f"the {state} one".encode())] == []
    others = {"pending", "scheduled", "retry", "completed", "archived"} - {state}
    assert all(places(redis, f"the {other} one") == [other] for other in others)
    assert places(redis, "another", OTHER) == ["pending"]


def test_a_purge_takes_two_hundred_a_call_and_no_more_than_asked(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    enqueue(broker, *(f"t{n}" for n in range(500)))
    calls = redis.info("commandstats")["cmdstat_evalsha"]["calls"]

    gone = list(control.purge(QUEUE, State.PENDING, 450))

    assert len(gone) == 450
    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] - calls <= 3
    assert redis.llen(BASE + "pending") == 50
    assert len(redis.keys("asynq:t:*")) == 50


def test_a_purge_spares_the_hash_of_what_is_under_way_all_the_same(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    task = in_state(broker, "active")
    assert task
    push(redis, ID)

    list(control.purge(QUEUE, State.PENDING, 10))

    assert places(redis, ID) == ["active", "lease"]
    assert settle(broker, done(task)) == ["OK"]


# --- keys of wrong types, full memory -------------------------------------------------------------


@pytest.mark.parametrize(
    ("purged", "stands"),
    [
        ("pending", "retry"),
        ("pending", "scheduled"),
        ("completed", "pending"),
        ("archived", "pending"),
    ],
)
def test_a_purge_spares_the_hash_of_what_stands_elsewhere_in_its_queue(
    redis: redis_py.Redis, control: Control, purged: str, stands: str
) -> None:
    push(redis, ID, state="pending")
    other = {purged, stands} - {"pending"}
    redis.zadd(BASE + other.pop(), {ID: 4e9})

    assert [answer.task_id for answer in control.purge(QUEUE, State(purged), 9)] == [ID]

    assert places(redis, ID) == [stands]
    assert redis.exists(f"asynq:t:{ID}")


@pytest.mark.parametrize("stands", ["pending", "active", "under a lease", "waiting"])
@pytest.mark.parametrize("purged", ["pending", "completed"])
def test_a_purge_spares_the_hash_of_what_stands_in_another_queue(
    redis: redis_py.Redis, broker: Broker, control: Control, purged: str, stands: str
) -> None:
    redis.sadd("asynq:queues", OTHER)
    push(redis, ID, OTHER, state="active" if stands == "active" else "scheduled")
    if stands == "under a lease":
        redis.srem("asynq:queues", OTHER)  # its claim says where
        claim(broker, OTHER)
    elif stands == "active":  # with a foreign worker
        redis.lmove(f"asynq:{OTHER}:pending", f"asynq:{OTHER}:active")
    elif stands == "waiting":
        redis.delete(f"asynq:{OTHER}:pending")
        redis.zadd("asynq:nb:waiting", {f"asynq:{OTHER}:|0|{ID}": 4e9})
    if purged == "pending":
        redis.lpush(BASE + "pending", ID)
    else:
        redis.zadd(BASE + "completed", {ID: 4e9})
    before = places(redis, ID, OTHER)

    list(control.purge(QUEUE, State(purged), 9))

    assert places(redis, ID) == []
    assert places(redis, ID, OTHER) == before
    assert redis.exists(f"asynq:t:{ID}")


@pytest.mark.parametrize(
    ("purged", "told"),
    [
        ("pending", {"claim": f"{BASE}|w/1:1|1", "state": "active"}),
        ("completed", {"state": "pending"}),
        ("archived", {"state": "retry"}),
        ("scheduled", {"state": "retry"}),
        ("retry", {"state": "scheduled"}),
    ],
)
def test_what_a_purge_takes_from_its_last_place_leaves_no_hash_whatever_that_said(
    redis: redis_py.Redis, control: Control, purged: str, told: dict[str, str]
) -> None:
    push(redis, ID, **told)
    if purged != "pending":
        redis.delete(BASE + "pending")
        redis.zadd(BASE + purged, {ID: 4e9})

    list(control.purge(QUEUE, State(purged), 9))

    assert redis.keys("asynq:t:*") == []


def test_a_purge_walks_along_no_list_for_tasks_that_are_what_they_say(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "completed")
    enqueue(broker, "a", "b")
    redis.config_resetstat()

    list(control.purge(QUEUE, State.PENDING, 9))
    list(control.purge(QUEUE, State.COMPLETED, 9))

    assert redis.keys("asynq:t:*") == []
    assert "cmdstat_lpos" not in redis.info("commandstats")


def test_a_purge_of_one_record_spares_that_of_a_later_run(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "archived")
    redis.zadd(BASE + "completed", {ID: 4e9})

    list(control.purge(QUEUE, State.COMPLETED, 9))

    assert places(redis, ID) == ["archived"]
    assert field(redis, ID, "error_msg")


@pytest.mark.parametrize("state", ["completed", "archived"])
def test_what_is_purged_leaves_no_record_of_an_earlier_run(
    redis: redis_py.Redis, broker: Broker, control: Control, state: str
) -> None:
    in_state(broker, state)
    redis.lpush(BASE + "pending", ID)

    list(control.purge(QUEUE, State.PENDING, 9))

    assert places(redis, ID) == []
    assert not redis.exists(f"asynq:t:{ID}")


def test_a_record_whose_state_was_written_late_is_finished_and_one_pushed_again_is_not(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "completed")
    redis.hset(f"asynq:t:{ID}", "state", "pending")
    assert [each.word for each in control.cancel([ID])] == ["FINISHED"]

    push(redis, ID)
    assert [each.word for each in control.cancel([ID])] == ["CANCELLED"]
    assert places(redis, ID) == ["archived"]


@pytest.mark.parametrize("name", ["pending", "lease", "archived"])
def test_a_key_of_a_wrong_type_is_named_and_nothing_is_changed(
    redis: redis_py.Redis, broker: Broker, control: Control, name: str
) -> None:
    in_state(broker, "scheduled")
    redis.delete(BASE + name)
    redis.set(BASE + name, "x")
    before = everything(redis)

    answers = [*control.cancel([ID]), control.run_now(ID), *control.delete([ID])]

    assert [(a.word, a.problem and a.problem.key) for a in answers] == [
        ("WRONGTYPE", BASE + name)
    ] * 3
    with pytest.raises(WrongTypeError, match="holds a string, not a "):
        list(control.purge(QUEUE, State.SCHEDULED, 10))
    assert everything(redis) == before


def test_a_task_whose_key_is_no_hash_can_be_cancelled_and_is_kept(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    redis.sadd("asynq:queues", QUEUE)
    redis.set(f"asynq:t:{ID}", "x")
    redis.lpush(BASE + "pending", ID)

    assert control.run_now(ID).word == "WRONGTYPE"
    assert word(control.cancel([ID])) == ("CANCELLED", "")
    assert places(redis, ID) == ["archived"]
    assert redis.get(f"asynq:t:{ID}") == b"x"


@pytest.mark.parametrize(
    "odd", ["two words", "a|b", "Grüße 🎉", to_text(b"\xff\xfe"), "line\nbreak"]
)
def test_odd_ids_are_controlled_like_any(
    redis: redis_py.Redis, broker: Broker, control: Control, odd: str
) -> None:
    push(redis, odd.encode("utf-8", "surrogateescape"))

    assert control.run_now(odd).word == "NEXT"
    assert word(control.cancel([odd])) == ("CANCELLED", "")
    assert control.run_now(odd).word == "AGAIN"
    assert [a.word for a in control.delete([odd])] == ["DELETED"]
    assert redis.keys("asynq:t:*") == []


def test_with_memory_full_tasks_can_be_controlled_still(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    in_state(broker, "active", "runs")
    enqueue(broker, "waits")
    enqueue(broker, "later", due="+1000")
    redis.config_set("maxmemory", 1)
    try:
        words = [
            control.cancel(["runs"])[0].word,
            control.cancel(["waits"])[0].word,
            control.run_now("later").word,
            *control.pause([QUEUE])[1],
            *control.resume([QUEUE])[1],
            control.delete(["later"])[0].word,
        ]
    finally:
        redis.config_set("maxmemory", 0)

    assert words == ["CANCELLING", "CANCELLED", "NEXT", QUEUE, QUEUE, "DELETED"]


def everything(redis: redis_py.Redis) -> dict[bytes, bytes]:
    return {key: redis.dump(key) for key in redis.keys("*")}


def test_with_full_memory_a_running_task_can_be_cancelled(
    redis: redis_py.Redis, broker: Broker, control: Control
) -> None:
    task = in_state(broker, "active")
    assert task is not None

    redis.config_set("maxmemory", "1")
    try:
        (answer,) = control.cancel([ID])
        assert answer.word == "CANCELLING"
        assert broker.renew([task], lease=15.0) == ["CANCELLED"]
    finally:
        redis.config_set("maxmemory", "0")
