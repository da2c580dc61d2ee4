"""The worker: what it serves, in which order, how it starts and how it stops."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.errors import ConnectionFailedError, LoadError
from runqy_notebook.events import Events
from runqy_notebook.registry import Registry
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import Completed
from runqy_notebook.worker.batch import WINDOW
from runqy_notebook.worker.keeper import Keeper
from tests.broking import BASE, end_lease, field, places, push
from tests.servers import RunningServer, free_port
from tests.waiting import wait_until
from tests.working import Log, add, add_loader, new_worker, registry_of, told, working


def threads() -> set[str]:
    return {t.name for t in threading.enumerate() if t.name.startswith("runqy-")}


# --- what is served, in which order --------------------------------------------------------------


def test_a_parent_queue_covers_its_sub_queues_by_priority(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    for sub in ("low", "default", "high"):
        for number in range(3):
            push(redis, f"{sub}{number}", f"mail_{sub}")

    with working(url, registry_of(log.note)):
        wait_until(lambda: len(log) == 9, "not all ran")

    assert [entry[:-1] for entry in log.entries] == ["high"] * 3 + ["default"] * 3 + ["low"] * 3


def test_priorities_that_are_told_go_first(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    for sub in ("high", "bulk", "vip"):
        push(redis, sub, f"mail_{sub}")
    redis.sadd("asynq:queues", "mail_bulk", "mail_vip")

    with working(url, registry_of(log.note), priorities={"vip": 9, "mail_bulk": 5}):
        wait_until(lambda: len(log) == 3, "not all ran")

    assert log.entries == ["vip", "bulk", "high"]


def test_queues_of_equal_priority_take_turns(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    for queue in ("one_default", "two_default"):
        for number in range(10):
            push(redis, f"{queue[:3]}{number}", queue)

    def handler(payload: Any) -> None:
        time.sleep(2 * WINDOW)  # too long for a claim of several
        log.note(payload)

    with working(url, registry_of(handler), "one", "two"):
        wait_until(lambda: len(log) == 20, "not all ran")

    assert [entry[:3] for entry in log.entries] == ["one", "two"] * 10


def test_a_sub_queue_that_outsiders_create_later_is_found(redis: redis_py.Redis, url: str) -> None:
    log = Log()

    with working(url, registry_of(log.note)):
        push(redis, "late", "mail_urgent")
        push(redis, "also", "mail:odd")
        wait_until(lambda: len(log) == 2, "the new queues were not found")


def test_a_queue_whose_name_only_begins_alike_is_not_served(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    push(redis, "theirs", "mail_merge_high")
    push(redis, "theirs2", "mailbox")
    push(redis, "ours")
    redis.sadd("asynq:queues", "mail_merge_high", "mailbox")

    with working(url, registry_of(log.note)) as worker:
        wait_until(lambda: len(log) == 1, "ours did not run")
        wait_until(lambda: redis.exists("asynq:nb:swept"), "no sweep")
        assert worker.status.queues == ["mail_default"]

    assert log.entries == ["ours"]
    assert places(redis, "theirs", "mail_merge_high") == ["pending"]


def test_a_queue_without_a_handler_is_not_claimed_from_until_it_has_one(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    registry = registry_of(log.note, "mail")
    push(redis, "theirs", "image_default")
    redis.sadd("asynq:queues", "image_default")

    with working(url, registry, "mail", "image") as worker:
        push(redis, "ours")
        wait_until(lambda: log.entries == ["ours"], "ours did not run")
        assert worker.status.without_handler == ["image_default"]
        assert places(redis, "theirs", "image_default") == ["pending"]

        add(registry, log.note, "image")
        wait_until(lambda: len(log) == 2, "the new handler was not used")

    assert log.entries == ["ours", "theirs"]


def test_a_handler_of_the_very_queue_beats_that_of_its_parent(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    registry = registry_of(lambda payload: log.add("parent"), "mail")
    add(registry, lambda payload: log.add("own"), "mail_high")
    add(registry, lambda payload: log.add("plain"))
    push(redis, "a", "mail_high")
    push(redis, "b", "mail_low")
    push(redis, "c", "image_low")

    with working(url, registry, "mail", "image"):
        wait_until(lambda: len(log) == 3, "not all ran")

    assert sorted(log.entries) == ["own", "parent", "plain"]


def test_a_handler_defined_anew_runs_the_next_task(redis: redis_py.Redis, url: str) -> None:
    log = Log()

    def handler(payload: object) -> None:
        log.add("old")

    def handler_again(payload: object) -> None:
        log.add("new")

    handler_again.__qualname__ = handler.__qualname__
    registry = registry_of(handler)

    with working(url, registry):
        push(redis, "a")
        wait_until(lambda: len(log) == 1, "the first did not run")
        add(registry, handler_again)
        push(redis, "b")
        wait_until(lambda: len(log) == 2, "the second did not run")

    assert log.entries == ["old", "new"]


def test_more_queues_can_be_served_while_it_runs(redis: redis_py.Redis, url: str) -> None:
    log = Log()

    with working(url, registry_of(log.note)) as worker:
        push(redis, "a", "image_default")
        worker.serve(["image"])
        wait_until(lambda: len(log) == 1, "the new queue is not served")

    assert {b"mail_default", b"image_default"} <= redis.smembers("asynq:queues")


def test_two_workers_of_one_process_share_the_work(redis: redis_py.Redis, url: str) -> None:
    first, second = Log(), Log()
    with working(url, registry_of(first.note)), working(url, registry_of(second.note)):
        for number in range(300):
            push(redis, f"t{number}")
        wait_until(lambda: len(first) + len(second) == 300, "not all ran")

    assert sorted(first.entries + second.entries) == sorted(f"t{number}" for number in range(300))
    assert len(set(first.entries) | set(second.entries)) == 300


# --- loaders -------------------------------------------------------------------------------------


def test_a_loader_runs_once_on_a_slots_thread_before_the_first_task(
    redis: redis_py.Redis, url: str
) -> None:
    made_on = []
    got = Log()
    registry = registry_of(lambda payload, ctx: got.add(ctx))

    def setup() -> dict[str, int]:
        made_on.append(threading.current_thread().name)
        return {"model": 1}

    add_loader(registry, setup)

    with working(url, registry, concurrency=3):
        assert [name.startswith("runqy-slot-") for name in made_on] == [True]
        for number in range(9):
            push(redis, f"t{number}")
        wait_until(lambda: len(got) == 9, "not all ran")

    assert len(made_on) == 1
    assert all(ctx is got.entries[0] for ctx in got.entries)


def test_an_async_loader_runs_once_per_slot_on_the_loop_of_its_handlers(
    redis: redis_py.Redis, url: str
) -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    log = Log()
    both = threading.Barrier(2, timeout=5)

    async def setup() -> asyncio.AbstractEventLoop:
        loops.append(asyncio.get_running_loop())
        return loops[-1]

    async def handler(payload: object, ctx: asyncio.AbstractEventLoop) -> None:
        await asyncio.to_thread(both.wait)
        log.add(ctx is asyncio.get_running_loop())

    registry = registry_of(handler)
    add_loader(registry, setup)

    with working(url, registry, concurrency=2):
        for number in range(6):
            push(redis, f"t{number}")
        wait_until(lambda: len(log) == 6, "not all ran")

    assert log.entries == [True] * 6
    assert len(set(loops)) == len(loops) == 2
    assert all(loop.is_closed() for loop in loops)


def test_a_loader_that_raises_means_no_worker_and_nothing_left(
    redis: redis_py.Redis, url: str
) -> None:
    registry = registry_of(lambda payload, ctx: None)

    def setup() -> None:
        raise SystemExit("no model")

    add_loader(registry, setup)
    push(redis, "a")

    with pytest.raises(LoadError, match="setup") as failure:
        new_worker(url, registry).start()

    assert 'raise SystemExit("no model")' in failure.value.traceback_text
    assert threads() == set()
    assert places(redis, "a") == ["pending"]
    assert redis.keys("asynq:workers*") == []


def test_a_loader_defined_anew_is_run_again_and_one_that_raises_bars_its_queue(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    registry = registry_of(lambda payload, ctx: log.add(ctx), "mail")
    add(registry, lambda payload: log.add("image"), "image")

    def setup() -> int:
        return 1

    def broken() -> int:
        raise ValueError("no model")

    def mended() -> int:
        return 2

    for again in (broken, mended):
        again.__qualname__ = setup.__qualname__
    add_loader(registry, setup, "mail")

    with working(url, registry, "mail", "image") as worker:
        add_loader(registry, broken, "mail")
        wait_until(lambda: told(worker, "raised; its queues wait"), "nothing was told")
        push(redis, "a")
        push(redis, "b", "image_default")
        wait_until(lambda: log.entries == ["image"], "the other queue does not run")
        assert places(redis, "a") == ["pending"]
        add_loader(registry, mended, "mail")
        wait_until(lambda: len(log) == 2, "the mended loader did not help")

    assert log.entries == ["image", 2]
    assert len(told(worker, "raised; its queues wait")) == 1


def test_while_one_queue_loads_the_others_run(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    is_loading, go_on = threading.Event(), threading.Event()
    registry = registry_of(lambda payload, ctx: log.add(ctx), "mail")
    add(registry, log.note, "image")

    def slow() -> str:
        is_loading.set()
        go_on.wait(10)
        return "loaded"

    with working(url, registry, "mail", "image", concurrency=2):
        add_loader(registry, slow, "mail")
        is_loading.wait(10)
        push(redis, "a")
        for number in range(5):
            push(redis, f"image{number}", "image_default")
        wait_until(lambda: len(log) == 5, "the other queue has to wait for the loader")
        go_on.set()
        wait_until(lambda: len(log) == 6, "the loaded queue does not run")

    assert log.entries[-1] == "loaded"


# --- stopping, pausing, resizing -----------------------------------------------------------------


def test_a_stop_lets_running_tasks_end_and_leaves_nothing(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    go_on = threading.Event()

    def handler(payload: object) -> None:
        log.note(payload)
        go_on.wait(10)

    worker = new_worker(url, registry_of(handler), concurrency=2)
    worker.start()
    for number in range(4):
        push(redis, f"t{number}")
    wait_until(lambda: len(log) == 2, "the slots are not busy")
    threading.Timer(0.1, go_on.set).start()

    stopped = worker.stop(5)

    assert stopped.released == ()
    assert str(stopped) == "Worker stopped; nothing was left running."
    assert redis.llen(BASE + "pending") == 2
    assert redis.zcard(BASE + "completed") == 2
    assert not redis.exists(BASE + "active", BASE + "lease")
    assert redis.keys("asynq:workers*") == []
    assert threads() == set()
    assert worker.stop() == stopped


def test_a_stop_gives_back_what_does_not_end_and_says_that_it_may_run_twice(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    go_on = threading.Event()

    def handler(payload: object) -> str:
        log.note(payload)
        go_on.wait(10)
        return "late"

    worker = new_worker(url, registry_of(handler), store_results=True)
    worker.start()
    push(redis, "next")
    push(redis, "other")
    wait_until(lambda: len(log) == 1, "nothing runs")

    stopped = worker.stop(0.1)

    assert stopped.released == ("next",)
    assert "may run twice: next" in str(stopped)
    assert redis.lrange(BASE + "pending", 0, -1) == [b"other", b"next"]
    assert field(redis, "next", "retry") == b"0"
    assert not redis.exists(BASE + "active", BASE + "lease", BASE + "processed")
    go_on.set()
    wait_until(lambda: threads() == set(), "the abandoned slot did not end")
    assert redis.lrange(BASE + "pending", 0, -1) == [b"other", b"next"]
    assert not redis.exists("asynq:result:next")


def test_it_runs_as_many_at_a_time_as_it_is_told(redis: redis_py.Redis, url: str) -> None:
    log = Log()
    first_four, others = threading.Event(), threading.Event()

    def handler(payload: dict[str, object]) -> None:
        with log.running(payload["task_id"]):
            (first_four if len(log) <= 4 else others).wait(timeout=10)

    with working(url, registry_of(handler), concurrency=1) as worker:
        for number in range(20):
            push(redis, f"t{number}")
        wait_until(lambda: len(worker.status.running) == 1, "nothing runs")
        worker.resize(4)
        wait_until(lambda: len(log) == 4, "it did not grow")  # claimed, and begun
        worker.resize(2)
        first_four.set()
        wait_until(lambda: len(log) == 6, "it does not go on")
        wait_until(lambda: len(worker.status.running) == 2, "it runs too many")
        slots_end = "a slot too many lives on"
        wait_until(lambda: len([name for name in threads() if "slot" in name]) == 2, slots_end)
        assert len(log) == 6
        others.set()
        wait_until(lambda: worker.status.completed == 20, "not all ran")

    assert log.most_at_once == 4


def test_a_paused_worker_claims_nothing_until_it_is_resumed(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    with working(url, registry_of(log.note)) as worker:
        wait_until(lambda: redis.exists("asynq:nb:swept"), "no housekeeping")
        worker.pause()
        push(redis, "a")
        threading.Event().wait(0.3)
        assert places(redis, "a") == ["pending"]
        assert worker.status.is_paused
        worker.resume()
        wait_until(lambda: len(log) == 1, "it does not go on")


def test_a_worker_that_stood_still_renews_its_leases_before_it_sweeps(
    redis: redis_py.Redis, url: str
) -> None:
    gate = threading.Event()
    push(redis, "a")

    with working(url, registry_of(lambda payload: gate.wait(20))) as worker:
        wait_until(lambda: worker.status.running, "it was not taken")
        worker._keeper.stop(5)
        chores = worker._chores.all()
        for chore in chores:
            chore.due_at = 2.0 if chore.name == "renewing leases" else 1.0
        end_lease(redis, "a")
        redis.delete("asynq:nb:swept")
        redis.zadd("asynq:nb:suspects", {f"{BASE}|1|a": 1})  # somebody else's first look

        Keeper(chores, worker._outage, worker.fault).tick(time.monotonic())

        assert redis.exists("asynq:nb:swept")
        assert places(redis, "a") == ["active", "lease"]
        gate.set()


def test_twenty_rounds_of_start_and_stop_leave_no_descriptor_and_no_connection(
    redis: redis_py.Redis, url: str
) -> None:
    registry = registry_of(lambda payload: None)

    def one_round() -> None:
        with working(redis, registry, "mail", "image", concurrency=3) as worker:
            push(redis, "a")
            wait_until(lambda: worker.status.completed == 1, "nothing ran")

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    one_round()
    before, connected = descriptors(), len(redis.client_list())
    for _ in range(20):
        one_round()

    wait_until(lambda: len(redis.client_list()) <= connected, "connections were left")
    assert descriptors() <= before
    assert threads() == set()


def test_a_start_without_redis_fails_and_leaves_nothing(redis: redis_py.Redis) -> None:
    client = redis_py.Redis(port=free_port())

    with pytest.raises(ConnectionFailedError, match="refused"):
        new_worker(client, registry_of(lambda payload: None)).start()

    assert threads() == set()


# --- what it tells -------------------------------------------------------------------------------


def test_the_heartbeat_is_what_the_documents_read_and_ends_with_the_worker(
    redis: redis_py.Redis, url: str
) -> None:
    go_on = threading.Event()
    odd_id = b"\xff\xfe"

    with working(url, registry_of(lambda payload: go_on.wait(10)), concurrency=2) as worker:
        key = f"asynq:workers:{worker.id}"
        beat = redis.hgetall(key)
        assert 25 <= redis.ttl(key) <= 30
        assert not redis.exists("asynq:workers")
        redis.hset(b"asynq:t:" + odd_id, "payload", "{}")
        redis.lpush(BASE + "pending", odd_id)
        wait_until(lambda: redis.hget(key, "active_task") == odd_id, "no beat tells of the task")
        go_on.set()

    assert float(beat.pop(b"started_at")) == pytest.approx(redis.time()[0], abs=9)
    assert float(beat.pop(b"last_beat")) == pytest.approx(redis.time()[0], abs=9)
    assert beat == {
        b"worker_id": worker.id.encode(),
        b"concurrency": b"2",
        b"queues": b"mail_default",
        b"status": b"running",
        b"healthy": b"1",
        b"active_task": b"",
        b"client": b"runqy_notebook",
    }
    assert str(os.getpid()) == worker.id.split(":")[1]
    assert not redis.exists(key)
    assert told(worker, "wrong") == []


def test_whoever_listens_can_not_hurt_the_worker(redis: redis_py.Redis, url: str) -> None:
    log = Log()

    def broken(anything: object) -> None:
        raise RuntimeError("a listener")

    registry = registry_of(log.note)
    with working(url, registry, on_outcome=broken, on_notice=broken) as worker:
        for number in range(5):
            push(redis, f"t{number}")
        wait_until(lambda: len(log) == 5, "it does not go on")
        wait_until(lambda: worker.status.completed == 5, "not all were counted")

    assert redis.zcard(BASE + "completed") == 5


def test_outcomes_are_told_once_they_are_written_down(redis: redis_py.Redis, url: str) -> None:
    seen = []

    def on_outcome(outcome: object) -> None:
        assert isinstance(outcome, Completed)
        seen.append((outcome.task.id, outcome.value, places(redis, outcome.task.id)))

    with working(url, registry_of(lambda payload: 7), on_outcome=on_outcome):
        push(redis, "a")
        wait_until(lambda: seen, "nothing was told")

    assert seen == [("a", 7, ["completed"])]


def test_who_listens_is_told_of_an_end_before_who_waits_for_it(
    redis: redis_py.Redis, url: str
) -> None:
    """A cell ends when its wait does, and what it shows then has to tell the end too."""
    events = Events()
    heard: list[Kind] = []
    known: list[list[Kind]] = []

    def listener(event: Event) -> None:
        heard.append(event.kind)

    events.subscribe(listener)

    def on_outcome(outcome: object) -> None:
        known.append(list(heard))

    with working(url, registry_of(lambda payload: 7), on_outcome=on_outcome, events=events):
        push(redis, "a")
        wait_until(lambda: known, "nothing was told")

    assert known == [[Kind.STARTED, Kind.COMPLETED]]


PERMANENT = {
    "asynq:queues",
    "asynq:nb:swept",
    "asynq:nb:trimmed",
    *(f"{BASE}{name}" for name in ("completed", "archived", "processed", "failed")),
}
"""Keys that live on when everything is done; each is bounded by the number of queues, or by a cap
and a time. While there is work: pending, active, lease, retry, scheduled, paused of a queue,
asynq:nb:waiting and asynq:nb:suspects."""


def test_no_key_is_left_for_ever_but_the_documented_ones(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: dict[str, object]) -> str:
        if payload["task_id"] == "bad":
            raise ValueError
        return "result"

    with working(url, registry_of(handler), store_results=True) as worker:
        push(redis, "good")
        push(redis, "bad", max_retry="1")
        redis.lpush(BASE + "pending", "orphan")
        wait_until(lambda: worker.status.completed == 1, "nothing ran")
        wait_until(lambda: redis.zcard(BASE + "archived") == 2, "not all was archived")

    permanent = {key.decode() for key in redis.scan_iter() if redis.ttl(key) == -1}
    assert permanent <= PERMANENT
    assert all(key.startswith(b"asynq:") for key in redis.scan_iter())


# --- what an idle worker costs -------------------------------------------------------------------


def commands_a_second(server: RunningServer, redis: redis_py.Redis) -> float:
    """Commands that clients sent in a bit more than two seconds (those within scripts are not)."""

    def sent() -> int:
        stats = redis.info("commandstats")
        return sum(each["calls"] for name, each in stats.items() if "|" not in name) - sum(
            stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in INSIDE_SCRIPTS
        )

    redis.config_resetstat()
    seconds, microseconds = redis.time()
    began = seconds + microseconds / 1e6

    def elapsed() -> float:
        seconds, microseconds = redis.time()
        return seconds + microseconds / 1e6 - began

    threading.Event().wait(2.2)
    return sent() / elapsed()


INSIDE_SCRIPTS = (
    "type", "llen", "rpop", "zscore", "zrem", "zadd", "zrangebyscore", "zrange", "exists",
    "zremrangebyscore", "lrem", "hmget", "hget", "time", "info", "config",
)  # fmt: skip


@pytest.mark.parametrize("what", ["nothing", "a paused queue", "an unserved queue", "orphans only"])
def test_an_idle_worker_costs_the_server_little(
    redis: redis_py.Redis, server: RunningServer, what: str
) -> None:
    registry = Registry()
    add(registry, lambda payload: None, "mail")
    if what == "a paused queue":
        redis.set(BASE + "paused", "1")
        push(redis, "a")
    elif what == "an unserved queue":
        push(redis, "a", "image_default")
    elif what == "orphans only":
        redis.lpush(BASE + "pending", *(f"orphan{number}" for number in range(20)))

    with working(server.url, registry, "mail", "image", concurrency=8) as worker:
        wait_until(lambda: redis.exists("asynq:nb:swept"), "no housekeeping")
        cost = commands_a_second(server, redis)
        assert worker.status.is_healthy

    print(f"\nidle with {what}: {cost:.1f} commands a second")
    assert cost < (40 if what == "a paused queue" else 20)  # spinning makes hundreds
