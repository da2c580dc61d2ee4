"""What the doctor finds, what it leaves alone, and what a repair does."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker import doctor as doctor_module
from runqy_notebook.broker.doctor import Doctor, Kind
from runqy_notebook.broker.rounds import Rounds
from runqy_notebook.broker.server import open_server
from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.settings import resolve
from runqy_notebook.wire.layout import DOCUMENTED, to_bytes, to_text
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
from tests.examining import (
    DOUBTS,
    beat,
    lose,
    notes,
    only,
    problems,
    repaired,
    snapshot,
    twice,
    write,
)
from tests.interop.foreign import Taken
from tests.servers import running_server

OTHER = "mail_high"
ODD_IDS = ["two words", "a|b", "*", "Grüße 🎉", to_text(b"\xff\xfe"), "line\nbreak"]


# --- health --------------------------------------------------------------------------------------


def test_a_healthy_redis_gives_no_findings_at_all(tmp_path: Path) -> None:
    with running_server(tmp_path, "--appendonly", "yes") as server:
        redis = redis_py.Redis.from_url(server.url)
        broker = broker_of(redis)
        enqueue(broker, "p1", "p2", "a1", "c1", "x1", "r1")
        enqueue(broker, "s1", due="+100")
        push(redis, "foreign")
        tasks = {task.id: task for task in claim(broker, want=5)}
        settle(broker, done(tasks["a1"]), archived(tasks["c1"]), retried(tasks["x1"]))
        beat(redis)
        healthy = Doctor(redis, "the test server")

        assert healthy.examine(patience=0) == []
        assert healthy.examine(patience=0) == []
        assert redis.exists(DOUBTS) == 0
        redis.close()


def test_an_empty_redis_gives_no_findings(doctor: Doctor) -> None:
    assert twice(doctor) == []


def test_what_foreign_workers_finished_is_no_finding(redis: redis_py.Redis, doctor: Doctor) -> None:
    lose(redis, "t1", state="completed")
    lose(redis, "t2", state="archived", error="it failed")

    assert twice(doctor) == notes(doctor) == []


def test_a_record_whose_state_a_foreign_worker_wrote_late_is_no_finding(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    broker = broker_of(redis)
    for task_id in ("kept", "trimmed"):
        enqueue(broker, task_id)
        settle(broker, done(claim(broker)[0]))
        redis.hset(f"asynq:t:{task_id}", "state", "pending")
    redis.zrem(BASE + "completed", "trimmed")

    assert twice(doctor) == notes(doctor) == []


def test_a_task_that_was_just_enqueued_is_not_looked_at_closely(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    enqueue(broker_of(redis), "t1")
    redis.delete(BASE + "pending")

    problems(doctor, patience=60)
    assert redis.exists(DOUBTS) == 0
    problems(doctor, patience=0)
    assert redis.exists(DOUBTS) == 1

    redis.hset("asynq:t:t1", "enqueued_at", "99999999999")
    assert only(problems(doctor, patience=0.000001), Kind.LOST, "t1")


@pytest.mark.parametrize("place", ["pending", "active", "retry", "scheduled", "waiting"])
def test_a_task_in_any_list_of_any_queue_is_not_lost(
    redis: redis_py.Redis, doctor: Doctor, place: str
) -> None:
    beat(redis, "a_default")
    lose(redis, "t1", state="pending")
    base = "asynq:a_default:"
    if place in ("pending", "active"):
        redis.lpush(base + place, "t1")
    elif place == "waiting":
        redis.zadd("asynq:nb:waiting", {base + "|3|t1": 1.0})
        redis.zadd("asynq:nb:waiting", {base + "|0|t1": 1.0})
    else:
        redis.zadd(base + place, {"t1": time.time() + 100})

    assert twice(doctor) == []


def test_a_move_during_the_walk_is_no_finding(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    moving = Rounds.look

    def look_later(self: Rounds, ids: Any, names: Any) -> Any:
        assert b"t1" in ids
        redis.lpush(BASE + "pending", "t1")
        return moving(self, ids, names)

    monkeypatch.setattr(Rounds, "look", look_later)
    redis.rpop(BASE + "pending")
    assert problems(doctor) == []
    redis.rpop(BASE + "pending")
    assert problems(doctor) == []
    assert redis.exists(DOUBTS) == 0
    assert claim(broker)[0].id == "t1"


# --- lost ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["", "pending", "active", "retry", "scheduled", "nonsense"])
def test_a_lost_id_is_found_by_the_second_look(
    redis: redis_py.Redis, doctor: Doctor, state: str
) -> None:
    lose(redis, "t1", **({"state": state} if state else {}))

    assert problems(doctor) == []
    found = only(problems(doctor), Kind.LOST, "t1")

    assert found.queue == QUEUE
    assert found.can_repair
    assert "t1" in found.what
    assert "--repair" in found.remedy


def test_the_first_look_says_that_something_is_in_doubt(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    lose(redis, "t1")
    lose(redis, "t2")

    found = only(notes(doctor, patience=5), Kind.DOUBT)

    assert found.what.startswith("2 tasks ")
    assert "5 s" in found.remedy


def test_a_lost_id_counts_only_once_patience_is_over(redis: redis_py.Redis, doctor: Doctor) -> None:
    lose(redis, "t1")

    assert problems(doctor, patience=60) == []
    assert problems(doctor, patience=60) == []

    (doubt,) = redis.zrange(DOUBTS, 0, -1)
    redis.zincrby(DOUBTS, -61, doubt)
    assert only(problems(doctor, patience=60), Kind.LOST, "t1")


def test_a_doubt_that_did_not_last_is_forgotten(redis: redis_py.Redis, doctor: Doctor) -> None:
    lose(redis, "t1")
    lose(redis, "t2")
    problems(doctor)
    assert redis.zcard(DOUBTS) == 2

    redis.lpush(BASE + "pending", "t1")
    problems(doctor)
    redis.lrem(BASE + "pending", 1, "t1")

    assert redis.zrange(DOUBTS, 0, -1) == [f"lost|{QUEUE}|t2".encode()]
    assert only(problems(doctor), Kind.LOST, "t2")


def test_doubts_of_another_doctor_at_work_stay(redis: redis_py.Redis, doctor: Doctor) -> None:
    now, _ = redis.time()
    redis.zadd(DOUBTS, {"old": now - 100, "new": now + 100})

    problems(doctor)

    assert redis.zrange(DOUBTS, 0, -1) == [b"new"]


def test_a_doubt_from_the_future_begins_anew(redis: redis_py.Redis, doctor: Doctor) -> None:
    lose(redis, "t1")
    now, _ = redis.time()
    redis.zadd(DOUBTS, {f"lost|{QUEUE}|t1": now + 1000})

    assert problems(doctor) == []
    assert only(problems(doctor), Kind.LOST, "t1")


def test_doubts_live_for_a_day(redis: redis_py.Redis, doctor: Doctor) -> None:
    lose(redis, "t1")

    problems(doctor)

    assert 86_000 < redis.ttl(DOUBTS) <= 86_400


@pytest.mark.parametrize("task_id", ODD_IDS)
def test_a_lost_id_of_any_spelling_is_given_back(
    redis: redis_py.Redis, doctor: Doctor, task_id: str
) -> None:
    push(redis, "other")
    lose(redis, task_id, claim="stale")
    problems(doctor)

    found = only(problems(doctor, repair=True), Kind.LOST, task_id)

    assert found.result == "put at the front of its queue"
    assert (found.what + found.remedy).isprintable()
    assert redis.lrange(BASE + "pending", 0, -1) == [b"other", to_bytes(task_id)]
    assert redis.hmget(DOCUMENTED.task(task_id), "state", "claim") == [b"pending", None]
    assert redis.exists(DOUBTS) == 0
    assert twice(doctor) == []


def test_without_being_asked_the_doctor_changes_nothing_but_its_doubts(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    lose(redis, "t1")
    redis.lpush(BASE + "active", "t2")
    redis.zadd(BASE + "lease", {"t3": 1.0})
    before = snapshot(redis)

    twice(doctor)

    assert snapshot(redis) == before


def test_a_lost_id_whose_hash_names_no_queue_is_left_to_a_person(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    lose(redis, "t1", queue="no queue!")

    found = only(twice(doctor, repair=True), Kind.LOST, "t1")

    assert found.queue is None
    assert not found.can_repair
    assert found.result == ""
    assert "redis-cli RPUSH asynq:QUEUE:pending t1" in found.remedy


def test_a_retry_that_a_live_foreign_worker_may_hold_is_only_noted(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    worker = beat(redis)
    push(redis, "t1")
    task = worker.take()
    assert isinstance(task, Taken)
    worker.retry_later(task)

    notes(doctor)
    (found,) = notes(doctor, repair=True)

    assert found.kind is Kind.LOST
    assert not found.can_repair
    assert "elsewhere:4711" in found.remedy
    assert places(redis, "t1") == []


@pytest.mark.parametrize("queues", [("a_default",), ()])
def test_a_retry_that_no_live_worker_can_hold_is_given_back(
    redis: redis_py.Redis, doctor: Doctor, queues: tuple[str, ...]
) -> None:
    if queues:
        beat(redis, *queues)
    lose(redis, "t1", state="retry")
    problems(doctor)

    assert repaired(doctor, Kind.LOST) == "put at the front of its queue"
    assert places(redis, "t1") == ["pending"]


def test_a_worker_that_stopped_or_names_no_queue(redis: redis_py.Redis, doctor: Doctor) -> None:
    lose(redis, "t1", state="retry")
    beat(redis)
    redis.hset("asynq:workers:elsewhere:4711", "queues", "map[]")
    notes(doctor)
    assert only(notes(doctor), Kind.LOST, "t1")

    redis.hset("asynq:workers:elsewhere:4711", "status", "stopped")
    assert only(problems(doctor), Kind.LOST, "t1").can_repair


def test_a_hash_without_payload_is_noted_and_left(redis: redis_py.Redis, doctor: Doctor) -> None:
    redis.hset("asynq:t:t1", "state", "pending")
    notes(doctor)

    (found,) = notes(doctor, repair=True)

    assert found.kind is Kind.LEFTOVER
    assert found.remedy == "redis-cli DEL asynq:t:t1."
    assert redis.exists("asynq:t:t1")


def test_ids_in_a_queue_that_only_their_hash_names_are_seen(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose(redis, "t1", queue="b_rare")
    looked: list[list[str]] = []
    look = Rounds.look

    def spy(self: Rounds, ids: Any, names: Any) -> Any:
        looked.append(list(names))
        return look(self, ids, names)

    monkeypatch.setattr(Rounds, "look", spy)
    assert only(twice(doctor), Kind.LOST, "t1").queue == "b_rare"
    assert looked == [["b_rare"]] * 2


# --- a repair looks again ------------------------------------------------------------------------


def repair_after(doctor: Doctor, monkeypatch: pytest.MonkeyPatch, happening: Any) -> str:
    """The result of a repair before which something happens."""
    repair = Doctor._repair

    def late(self: Doctor, *args: Any) -> str:
        happening()
        return repair(self, *args)

    monkeypatch.setattr(Doctor, "_repair", late)
    (found,) = [f for f in doctor.examine(patience=0, repair=True) if f.can_repair]
    return found.result


@pytest.mark.parametrize(
    "happening",
    [
        lambda redis: redis.lpush(BASE + "pending", "t1"),
        lambda redis: redis.lpush(BASE + "active", "t1"),
        lambda redis: redis.zadd("asynq:mail_high:scheduled", {"t1": 1.0}),
        lambda redis: redis.zadd(BASE + "lease", {"t1": 1.0}),
        lambda redis: redis.zadd("asynq:nb:waiting", {BASE + "|1|t1": 1.0}),
        lambda redis: redis.zadd("asynq:nb:waiting", {BASE + "|2|t1": 1.0}),
        lambda redis: redis.hset("asynq:t:t1", "state", "completed"),
        lambda redis: redis.hset("asynq:t:t1", "state", "archived"),
        lambda redis: redis.zadd(BASE + "completed", {"t1": 1.0}),
        lambda redis: redis.zadd(BASE + "archived", {"t1": 1.0}),
        lambda redis: redis.hdel("asynq:t:t1", "payload"),
        lambda redis: redis.delete("asynq:t:t1"),
        lambda redis: (redis.delete("asynq:t:t1"), redis.set("asynq:t:t1", "text")),
    ],
)
def test_what_is_no_longer_lost_is_not_put_anywhere(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, happening: Any
) -> None:
    redis.zadd(f"asynq:{OTHER}:scheduled", {"keeps the queue known": time.time() + 100})
    lose(redis, "t1")
    problems(doctor)

    def happens() -> None:
        happening(redis)
        before.update(snapshot(redis))

    before: dict[bytes, Any] = {}
    result = repair_after(doctor, monkeypatch, happens)

    assert result == "left alone: it moved meanwhile"
    assert snapshot(redis) == before


def test_nothing_is_put_into_a_queue_with_a_key_of_a_wrong_type(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    redis.set(BASE + "pending", "text")
    redis.zadd(BASE + "lease", {"unlisted": 1.0})
    redis.lpush(BASE + "active", "abandoned")
    lose(redis, "lost")
    problems(doctor)

    found = [f for f in doctor.examine(patience=0, repair=True) if f.can_repair]

    assert {f.task_id for f in found} == {"lost", "abandoned", "unlisted"}
    assert {f.result for f in found} == {"left alone: a key of its queue has a wrong type"}
    assert redis.get(BASE + "pending") == b"text"


def test_a_repair_has_a_limit(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        lose(redis, f"t{number}")
    problems(doctor)
    monkeypatch.setattr(doctor_module, "MOST_REPAIRS", 3)

    found = problems(doctor, repair=True)

    assert sorted(bool(each.result) for each in found) == [False, False, True, True, True]
    assert redis.llen(BASE + "pending") == 3


# --- two places ----------------------------------------------------------------------------------


def test_the_same_id_in_two_places_is_a_note(redis: redis_py.Redis, doctor: Doctor) -> None:
    push(redis, "pushed twice")
    redis.lpush(BASE + "pending", "pushed twice")
    push(redis, "in two queues")
    redis.lpush(f"asynq:{OTHER}:pending", "in two queues")
    push(redis, "in retry too")
    redis.zadd(BASE + "retry", {"in retry too": time.time() + 100})
    push(redis, "once")

    found = notes(doctor, repair=True)

    assert {each.kind for each in found} == {Kind.TWICE}
    what = {each.task_id: each.what for each in found}
    assert set(what) == {"pushed twice", "in two queues", "in retry too"}
    assert f"pending of {QUEUE} twice" in what["pushed twice"]
    assert f"pending of {QUEUE} and pending of {OTHER}" in what["in two queues"]
    assert f"pending of {QUEUE} and retry of {QUEUE}" in what["in retry too"]
    assert all("redis-cli LREM asynq:mail_" in each.remedy for each in found)


def test_pending_and_active_at_once_is_a_note(redis: redis_py.Redis, doctor: Doctor) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    claim(broker)
    redis.lpush(BASE + "pending", "t1")

    assert only(notes(doctor), Kind.TWICE, "t1")

    claim(broker)
    found = only(notes(doctor), Kind.TWICE, "t1")
    assert f"active of {QUEUE} and waiting of {QUEUE}" in found.what
    assert "Nothing" in found.remedy


# --- active and lease ----------------------------------------------------------------------------


def test_tasks_of_a_live_foreign_worker_are_one_note_and_stay(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    worker = beat(redis)
    for number in range(5):
        push(redis, f"t{number}")
        assert worker.take()
    before = snapshot(redis)

    for _ in range(3):
        found = only(notes(doctor, repair=True), Kind.FOREIGN)
        assert problems(doctor, repair=True) == []

    assert found.queue == QUEUE
    assert found.what.startswith("5 active tasks ")
    assert snapshot(redis) == before


def test_a_task_of_a_dead_foreign_worker_is_given_back(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    worker = beat(redis)
    push(redis, "t1")
    assert worker.take()
    push(redis, "t2")
    problems(doctor)
    problems(doctor)

    redis.delete("asynq:workers:elsewhere:4711")
    beat(redis, "a_default")
    assert problems(doctor) == []
    found = only(problems(doctor), Kind.ABANDONED, "t1")
    assert "runs twice" in found.remedy

    assert repaired(doctor, Kind.ABANDONED) == "put at the front of its queue"
    assert redis.lrange(BASE + "pending", 0, -1) == [b"t2", b"t1"]
    assert field(redis, "t1", "state") == b"pending"
    assert redis.exists(BASE + "active", DOUBTS) == 0


def test_an_abandoned_entry_goes_where_the_task_stands_elsewhere_too(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    push(redis, "t1", state="kept")
    redis.lpush(BASE + "active", "t1", "t1")
    problems(doctor)

    assert repaired(doctor, Kind.ABANDONED) == "taken out of active; it stands elsewhere too"
    assert places(redis, "t1") == ["pending"]
    assert field(redis, "t1", "state") == b"kept"


def test_an_abandoned_entry_without_a_hash_makes_no_hash(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    redis.lpush(BASE + "active", "t1")
    problems(doctor)

    assert repaired(doctor, Kind.ABANDONED) == "put at the front of its queue"
    assert places(redis, "t1") == ["pending"]
    assert redis.exists("asynq:t:t1") == 0


@pytest.mark.parametrize(
    "happening",
    [
        lambda redis: redis.lrem(BASE + "active", 1, "t1"),
        lambda redis: redis.zadd(BASE + "lease", {"t1": 1.0}),
        lambda redis: redis.delete(DOUBTS),  # another doctor gave it back, and it was taken again
    ],
)
def test_an_active_entry_that_moved_is_left(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, happening: Any
) -> None:
    write(redis, "t1", state="active")
    redis.lpush(BASE + "active", "t1")
    problems(doctor)

    result = repair_after(doctor, monkeypatch, lambda: happening(redis))

    assert result == "left alone: it moved meanwhile"
    assert redis.exists(BASE + "pending") == 0


def test_a_claim_without_its_lease_is_given_back_whoever_lives(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    broker = broker_of(redis)
    beat(redis)
    push(redis, "t1")
    (task,) = claim(broker)
    redis.delete(BASE + "lease")

    assert only(twice(doctor), Kind.UNLEASED, "t1").can_repair
    assert repaired(doctor, Kind.UNLEASED) == "put at the front of its queue"

    assert settle(broker, done(task)) == ["FENCED"]
    assert places(redis, "t1") == ["pending"]
    assert field(redis, "t1", "claim") is None


def test_a_lease_of_a_running_task_gets_its_entry_back(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    (task,) = claim(broker)
    redis.delete(BASE + "active")

    assert only(twice(doctor), Kind.UNLISTED, "t1").queue == QUEUE
    assert repaired(doctor, Kind.UNLISTED) == "put back into active"

    assert places(redis, "t1") == ["active", "lease"]
    assert settle(broker, done(task)) == ["OK"]
    assert twice(doctor) == []


@pytest.mark.parametrize(
    ("fields", "stands", "expected"),
    [
        ({}, None, ["pending"]),
        ({"claim": "asynq:other:|w/1:1|1"}, None, ["pending"]),
        ({}, "retry", ["retry"]),
        ({}, "completed", ["completed"]),
        ({}, "archived", ["archived"]),
        (None, None, []),
    ],
)
def test_a_lease_that_is_nobodys_is_removed(
    redis: redis_py.Redis,
    doctor: Doctor,
    fields: dict[str, str] | None,
    stands: str | None,
    expected: list[str],
) -> None:
    if fields is not None:
        write(redis, "t1", state="active", **fields)
    if stands:
        redis.zadd(BASE + stands, {"t1": time.time() + 100})
    redis.zadd(BASE + "lease", {"t1": time.time() + 100})
    problems(doctor)

    result = repaired(doctor, Kind.UNLISTED)

    given_back = expected == ["pending"]
    assert result == ("put at the front of its queue" if given_back else "lease removed")
    assert places(redis, "t1") == expected
    assert redis.exists("asynq:t:t1") == (fields is not None)
    if given_back:
        assert redis.hmget("asynq:t:t1", "state", "claim") == [b"pending", None]


@pytest.mark.parametrize(
    "happening",
    [
        lambda redis: redis.lpush(BASE + "active", "t1"),
        lambda redis: redis.zrem(BASE + "lease", "t1"),
        lambda redis: redis.delete(DOUBTS),
    ],
)
def test_a_lease_that_moved_is_left(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch, happening: Any
) -> None:
    write(redis, "t1", state="active")
    redis.zadd(BASE + "lease", {"t1": 1.0})
    problems(doctor)

    result = repair_after(doctor, monkeypatch, lambda: happening(redis))

    assert result == "left alone: it moved meanwhile"
    assert redis.exists(BASE + "pending") == 0


# --- late hashes ---------------------------------------------------------------------------------


def test_an_orphan_whose_hash_came_late_is_listed_and_put_back(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    broker = broker_of(redis)
    redis.lpush(BASE + "pending", "late", "never")
    claim(broker)
    for _ in range(3):
        let_waiting_be_due(redis)
        sweep(broker)
    assert places(redis, "late") == places(redis, "never") == ["archived"]
    assert problems(doctor) == []

    write(redis, "late")
    assert only(problems(doctor), Kind.LATE_HASH, "late").queue == QUEUE
    assert repaired(doctor, Kind.LATE_HASH) == "put at the front of its queue"

    assert places(redis, "late") == ["pending"]
    assert redis.ttl("asynq:t:late") == -1
    assert redis.hmget("asynq:t:late", "error_msg", "last_failed_at") == [None, None]
    assert twice(doctor) == []
    assert [task.id for task in claim(broker, want=5)] == ["late"]


def test_a_late_orphan_that_was_pushed_again_is_no_finding(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    push(redis, "t1", error_msg="no task hash: it did not exist", state="archived")
    redis.zadd(BASE + "archived", {"t1": time.time()})

    assert twice(doctor) == []


def test_a_late_orphan_that_is_pushed_meanwhile_is_left(
    redis: redis_py.Redis, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(redis, "t1", error_msg="no task hash: it did not exist", state="archived")
    redis.zadd(BASE + "archived", {"t1": time.time()})

    result = repair_after(doctor, monkeypatch, lambda: redis.lpush(BASE + "pending", "t1"))

    assert result == "left alone: it moved meanwhile"
    assert places(redis, "t1") == ["pending", "archived"]


def test_what_was_archived_for_other_reasons_is_no_finding(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    settle(broker, archived(claim(broker)[0]))

    assert twice(doctor) == []


# --- wrong types ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["pending", "active", "lease", "retry", "scheduled", "archived", "completed"]
)
def test_a_queue_key_of_a_wrong_type_is_named(
    redis: redis_py.Redis, doctor: Doctor, name: str
) -> None:
    push(redis, "t1", queue=OTHER)
    redis.set(BASE + name, "text")

    (found,) = problems(doctor)

    assert found.kind is Kind.WRONG_TYPE
    assert found.queue == QUEUE
    wanted = "list" if name in ("pending", "active") else "zset"
    assert f"{BASE}{name} holds a string, not a {wanted}" in found.what
    assert f"redis-cli RENAME {BASE}{name} " in found.remedy
    assert twice(doctor) == [found]


def test_the_set_of_queues_may_have_a_wrong_type(redis: redis_py.Redis, doctor: Doctor) -> None:
    redis.set("asynq:queues", "text")

    assert "not a set" in only(problems(doctor), Kind.WRONG_TYPE).what


@pytest.mark.parametrize("name", ["swept", "waiting", "suspects"])
def test_a_key_of_the_sweeps_of_a_wrong_type_is_named(
    redis: redis_py.Redis, doctor: Doctor, name: str
) -> None:
    redis.set(f"asynq:nb:{name}", "text")

    (found,) = problems(doctor)

    assert found.kind is Kind.WRONG_TYPE
    assert f"asynq:nb:{name} holds a string, not a zset" in found.what


def test_a_task_key_of_a_wrong_type_is_named_where_it_is_listed(
    redis: redis_py.Redis, doctor: Doctor
) -> None:
    redis.set("asynq:t:listed", "text")
    redis.lpush(BASE + "pending", "listed")
    redis.rpush("asynq:t:buried", "text")
    redis.zadd(BASE + "archived", {"buried": time.time()})
    redis.set("asynq:t:nobody's", "text")

    found = {each.task_id: each for each in problems(doctor)}

    assert set(found) == {"listed", "buried"}
    assert {each.kind for each in found.values()} == {Kind.WRONG_TYPE}
    assert "holds a string, not a hash" in found["listed"].what
    assert "redis-cli DEL asynq:t:buried" in found["buried"].remedy


@pytest.mark.parametrize("kind", ["set", "zset", "string"])
def test_foreign_workers_are_seen_whatever_lists_them(
    redis: redis_py.Redis, doctor: Doctor, kind: str
) -> None:
    push(redis, "t1")
    beat(redis)
    redis.delete("asynq:workers")
    if kind == "zset":
        redis.zadd("asynq:workers", {"elsewhere:4711": 1})
    elif kind == "string":
        redis.set("asynq:workers", "text")
    else:
        redis.sadd("asynq:workers", "elsewhere:4711", "gone:1")

    assert problems(doctor, served=()) == []


# --- queues --------------------------------------------------------------------------------------


def test_pending_tasks_that_nobody_serves_are_told(redis: redis_py.Redis, doctor: Doctor) -> None:
    push(redis, "t1")
    push(redis, "t2")
    beat(redis, "mails_default")

    found = only(problems(doctor, served=()), Kind.UNSERVED)

    assert found.queue == QUEUE
    assert "2 pending tasks" in found.what
    assert "Did you mean 'mails_default'?" in found.what
    assert found.remedy == "%runqy worker start mail"


def test_a_queue_is_served_by_any_live_worker(redis: redis_py.Redis, doctor: Doctor) -> None:
    push(redis, "t1")
    worker = beat(redis)
    assert problems(doctor, served=()) == []
    assert problems(doctor, served=["image"]) == []

    redis.hset("asynq:workers:elsewhere:4711", "status", "stopped")
    assert only(problems(doctor, served=()), Kind.UNSERVED)
    assert problems(doctor, served=["mail"]) == []

    assert worker.take()
    assert problems(doctor, served=(), patience=60) == []


def test_a_served_queue_without_a_handler_is_told(redis: redis_py.Redis, doctor: Doctor) -> None:
    push(redis, "t1")
    push(redis, "t2", queue="image_default")
    beat(redis, "image_default")

    options: dict[str, Any] = {"served": ["mail"]}
    found = only(problems(doctor, **options, has_handler=lambda queue: False), Kind.NO_HANDLER)

    assert found.queue == QUEUE
    assert '@task("mail")' in found.remedy
    assert problems(doctor, **options, has_handler=lambda queue: queue == QUEUE) == []


def test_a_paused_queue_with_tasks_is_told(redis: redis_py.Redis, doctor: Doctor) -> None:
    redis.set(BASE + "paused", "1")
    redis.set(f"asynq:{OTHER}:paused", "1")
    enqueue(broker_of(redis), "t1")
    enqueue(broker_of(redis), "t2", due="+100")

    found = only(problems(doctor), Kind.PAUSED)

    assert "2 unfinished tasks" in found.what
    assert found.remedy == f"%runqy resume {QUEUE}"


@pytest.mark.parametrize("name", ["scheduled", "retry"])
def test_overdue_tasks_that_nobody_sweeps_are_told(
    redis: redis_py.Redis, doctor: Doctor, name: str
) -> None:
    broker = broker_of(redis)
    now, _ = redis.time()
    write(redis, "t1", state=name)
    redis.zadd(BASE + name, {"t1": now - 30, "just due": now - 5, "later": now + 100})

    found = only(problems(doctor), Kind.OVERDUE)
    assert found.what.startswith("1 task of")
    ago = re.search(r" (\d+) s ago", found.what)
    assert ago
    assert 30 <= int(ago[1]) < 60

    sweep(broker)
    redis.zadd(BASE + name, {"t2": now - 30})
    assert problems(doctor) == []
    redis.zadd("asynq:nb:swept", {BASE: now - 30})
    assert only(problems(doctor), Kind.OVERDUE)


# --- the server ----------------------------------------------------------------------------------


def judged(**facts: Any) -> list[tuple[str, bool]]:
    return [(f.what, f.is_note) for f in doctor_module.checkup.judge_server(facts)]


def test_a_full_memory_is_told_and_doubts_are_kept_all_the_same(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        redis = redis_py.Redis.from_url(server.url)
        lose(redis, "t1")
        redis.lpush(BASE + "active", "t2")
        redis.config_set("maxmemory", 1)
        with pytest.raises(redis_py.exceptions.OutOfMemoryError):
            redis.set("x", "y")
        doctor = Doctor(redis, "the test server")

        found = {each.kind: each for each in twice(doctor, repair=True)}

        assert "memory is full" in found[Kind.SERVER].what
        assert found[Kind.LOST].result == found[Kind.ABANDONED].result
        assert sorted(redis.lrange(BASE + "pending", 0, -1)) == [b"t1", b"t2"]

        write_lease(redis, "t3")
        problems(doctor)
        assert repaired(doctor, Kind.UNLISTED) == "put back into active"
        redis.close()


def write_lease(redis: redis_py.Redis, task_id: str) -> None:
    """A lease without its entry, with the claim that it is of."""
    redis.config_set("maxmemory", 0)
    write(redis, task_id, claim=f"{BASE}|w/1:1|1")
    redis.zadd(BASE + "lease", {task_id: time.time() + 100})
    redis.config_set("maxmemory", 1)


def test_eviction_is_told_and_volatile_eviction_noted(tmp_path: Path) -> None:
    with running_server(tmp_path, "--maxmemory", "100mb") as server:
        redis = redis_py.Redis.from_url(server.url)
        doctor = Doctor(redis, "the test server")
        assert problems(doctor) == []

        redis.config_set("maxmemory-policy", "allkeys-lru")
        assert "allkeys-lru" in only(problems(doctor), Kind.SERVER).what

        redis.config_set("maxmemory-policy", "volatile-ttl")
        assert problems(doctor) == []
        assert any("volatile-ttl" in each.what for each in doctor.examine())

        redis.config_set("maxmemory", 0)
        assert not any("volatile-ttl" in each.what for each in doctor.examine())
        redis.close()


def test_a_replica_is_told_and_nothing_else_is_asked_of_it(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        redis = redis_py.Redis.from_url(server.url)
        lose(redis, "t1")
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")

        (found,) = problems(Doctor(redis, "the test server"), repair=True)

        assert "read-only replica" in found.what
        assert "127.0.0.1:1" in found.remedy
        redis.close()


def test_what_info_tells_is_judged() -> None:
    assert judged() == []
    assert judged(aof_enabled=1, save="") == []
    assert judged(aof_enabled=0, save="3600 1") == []
    assert judged(aof_enabled=0) == []
    assert judged(redis_version="6.2.0", maxmemory=0) == []
    assert judged(redis_version="10.1.0") == []
    ((nothing_saved, is_note),) = judged(aof_enabled=0, save="")
    assert is_note
    assert "restart" in nothing_saved
    ((too_old, _),) = judged(redis_version="6.0.16")
    assert "6.0.16" in too_old
    ((unsaved, _),) = judged(rdb_last_bgsave_status="err")
    assert "cannot save" in unsaved


def test_a_user_who_may_only_use_the_keys_is_examined_too(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        admin = redis_py.Redis.from_url(server.url)
        admin.execute_command(
            "ACL", "SETUSER", "nb", "on", ">pw", "~asynq:*", "+@all", "-info", "-config"
        )
        lose(admin, "t1")
        redis = redis_py.Redis.from_url(server.url, username="nb", password="pw")

        assert only(twice(Doctor(redis, "the test server")), Kind.LOST, "t1")
        redis.close()
        admin.close()


def test_a_server_that_is_away_is_one_explained_error(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        redis = redis_py.Redis.from_url(server.url, retry=None)
    with pytest.raises(ConnectionFailedError, match="refused"):
        Doctor(redis, server.url).examine()
    redis.close()


def test_the_server_inside_this_process_can_be_examined() -> None:
    pytest.importorskip("lupa")
    from runqy_notebook.broker.embedded import fake_client

    redis = fake_client()
    lose(redis, "t1")
    push(redis, "t2")

    found = only(twice(Doctor(redis, "fakeredis"), repair=True), Kind.LOST, "t1")

    assert found.result
    assert redis.lrange(BASE + "pending", 0, -1) == [b"t2", b"t1"]


def test_an_expired_lease_is_the_sweeps_business(redis: redis_py.Redis, doctor: Doctor) -> None:
    broker = broker_of(redis)
    push(redis, "t1")
    claim(broker)
    end_lease(redis, "t1")

    assert twice(doctor) == []


def test_a_session_can_examine_its_server(url: str, redis: redis_py.Redis) -> None:
    server = open_server(resolve({"url": url}, None))

    assert problems(Doctor(server.client, server.where)) == []

    server.client.close()
