"""Whatever handlers do and producers write: a failed attempt, a reason, and all slots alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.running import current_task
from runqy_notebook.tasks import Fail, Retry
from runqy_notebook.worker.worker import Worker
from tests.broking import BASE, SETS, field, places, push
from tests.waiting import wait_until
from tests.working import Log, add, registry_of, told, working


class UnspeakableError(Exception):
    def __str__(self) -> str:
        raise SystemExit("no words")


class BareRetry(Retry):
    def __init__(self) -> None:
        self.in_seconds = float("nan")


class BareFail(Fail):
    def __init__(self) -> None:
        self.why = UnspeakableError()  # type: ignore[assignment]


def endless(payload: object) -> object:
    return endless(payload)


def raiser(error: BaseException) -> Callable[[object], None]:
    def handler(payload: object) -> None:
        raise error

    return handler


RAISED: dict[str, Callable[[object], object]] = {
    "SystemExit": raiser(SystemExit(3)),
    "KeyboardInterrupt": raiser(KeyboardInterrupt()),
    "GeneratorExit": raiser(GeneratorExit()),
    "RecursionError": endless,
    "MemoryError": raiser(MemoryError()),
    "CancelledError": raiser(asyncio.CancelledError()),
    "StopIteration": raiser(StopIteration(1)),
    "BaseExceptionGroup": raiser(BaseException("bare")),
    "UnspeakableError": raiser(UnspeakableError()),
    "half a surrogate pair": raiser(ValueError("\ud800 \udcff")),
    "a long text": raiser(ValueError("x" * 10**6)),
    "Retry without a number": raiser(BareRetry()),
    "Fail without a reason": raiser(BareFail()),
}


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_whatever_a_handler_raises_is_a_failed_attempt_and_the_slots_live(
    redis: redis_py.Redis, url: str, kind: str
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> None:
        if payload["task_id"] in RAISED:
            RAISED[payload["task_id"]](payload)
        log.note(payload)

    async def async_handler(payload: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        handler(payload)

    registry = registry_of(handler if kind == "sync" else async_handler)
    with working(url, registry, concurrency=2) as worker:
        for name in RAISED:
            push(redis, name, max_retry="0")
            push(redis, f"after {name}", max_retry="0")
        wait_until(lambda: len(log) == len(RAISED), f"a slot died: {worker.notices}")
        wait_until(lambda: worker.status.failed == len(RAISED), "not all were counted")
        slots = [t for t in threading.enumerate() if t.name.startswith("runqy-slot")]
        assert len(slots) == 2
        assert told(worker, "Something went wrong") == []

    assert set(log.entries) == {f"after {name}" for name in RAISED}
    for name in RAISED:
        assert places(redis, name) == ["archived"]
        assert 0 < len(field(redis, name, "error_msg") or b"") <= 4000


def test_retries_are_counted_up_to_the_limit_and_the_error_is_kept(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        raise ValueError("still broken")

    with working(url, registry_of(handler)):
        push(redis, "a", max_retry="2")
        wait_until(lambda: redis.zcard(BASE + "archived"), "it is not archived", 15)

    assert len(log) == 3
    assert field(redis, "a", "retry") == b"2"
    assert field(redis, "a", "error_msg") == b"ValueError: still broken"


def test_retry_and_fail_do_what_the_handler_asks(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: dict[str, Any]) -> None:
        if payload["task_id"] == "later":
            raise Retry(in_seconds=500, why="not ready")
        if payload["task_id"] == "never":
            raise Retry(in_seconds=timedelta(days=10_000))
        if payload["task_id"] == "at once":
            raise Retry(in_seconds=0)
        raise Fail("pointless")

    with working(url, registry_of(handler)):
        push(redis, "later")
        push(redis, "never")
        push(redis, "at once", max_retry="1")
        push(redis, "fail")
        wait_until(lambda: redis.zcard(BASE + "retry") == 2, "not retried")
        wait_until(lambda: redis.zcard(BASE + "archived") == 2, "not archived")

    now = redis.time()[0]
    assert redis.zscore(BASE + "retry", "later") == pytest.approx(now + 500, abs=5)
    assert 10**8 < (redis.zscore(BASE + "retry", "never") or 0) - now < 10**9
    assert field(redis, "later", "error_msg") == b"not ready"
    assert field(redis, "fail", "error_msg") == b"pointless"
    assert field(redis, "fail", "retry") == b"0"
    assert field(redis, "at once", "retry") == b"1"


# --- results -------------------------------------------------------------------------------------


class Unencodable:
    def model_dump(self) -> object:
        raise SystemError("no dump")


@pytest.mark.parametrize(
    "value",
    [object(), b"bytes", Unencodable(), 10**5000, "\ud800"],
    ids=["object", "bytes", "hostile", "huge", "surrogate"],
)
def test_a_result_that_is_not_json_is_a_notice_and_never_a_retry(
    redis: redis_py.Redis, url: str, value: object
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> object:
        log.note(payload)
        return value

    with working(url, registry_of(handler), store_results=True) as worker:
        push(redis, "a")
        wait_until(lambda: worker.status.completed == 1, "it is not completed")
        assert len(told(worker, "its result was not stored")) == 1

    assert len(log) == 1
    assert not redis.exists("asynq:result:a")


@pytest.mark.parametrize("worker_says", [True, False])
@pytest.mark.parametrize("handler_says", [True, False, None])
@pytest.mark.parametrize("task_says", ["1", "0", None])
def test_a_result_is_stored_as_task_handler_and_worker_say_in_this_order(
    redis: redis_py.Redis,
    url: str,
    worker_says: bool,
    handler_says: bool | None,
    task_says: str | None,
) -> None:
    registry = registry_of(lambda payload: {"x": 1}, store_result=handler_says)
    with working(url, registry, store_results=worker_says) as worker:
        push(redis, "a", **({} if task_says is None else {"store": task_says}))
        wait_until(lambda: worker.status.completed == 1, "it is not completed")

    said = [task_says and task_says == "1", handler_says, worker_says]
    stored = redis.get("asynq:result:a") == b'{"x":1}'
    assert stored == next(each for each in said if each is not None)
    assert not stored or 3500 < redis.ttl("asynq:result:a") <= 3600


# --- time limits ---------------------------------------------------------------------------------


def test_a_handler_that_never_returns_is_retried_in_a_fresh_slot_and_its_result_is_dropped(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    go_on = threading.Event()

    def handler(payload: dict[str, Any]) -> str:
        log.note(payload)
        if log.entries.count("hangs") == 1 and payload["task_id"] == "hangs":
            go_on.wait(20)
            return "late"
        return "second"

    with working(url, registry_of(handler), store_results=True) as worker:
        push(redis, "hangs", timeout="0.2")
        wait_until(lambda: worker.status.completed == 1, "it is not retried")
        assert log.entries == ["hangs", "hangs"]
        assert worker.status.abandoned == 1
        assert len(told(worker, "ran longer than 0.2 s: it will be tried again")) == 1
        go_on.set()
        wait_until(lambda: worker.status.abandoned == 0, "the abandoned slot does not end")

    assert redis.get("asynq:result:hangs") == b'"second"'
    assert field(redis, "hangs", "retry") == b"1"
    assert redis.get(BASE + "processed") == b"2"


def test_an_async_handler_is_cancelled_at_its_limit_and_may_clean_up(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    async def handler(payload: dict[str, Any]) -> None:
        try:
            await asyncio.sleep(20)
        finally:
            log.add("cleaned up")

    with working(url, registry_of(handler, timeout=0.1)) as worker:
        push(redis, "slow", max_retry="0")
        wait_until(lambda: redis.zcard(BASE + "archived"), "it is not ended")
        assert log.entries == ["cleaned up"]
        assert worker.status.abandoned == 0

    assert field(redis, "slow", "error_msg") == b"timed out after 0.1 s"


def test_an_async_handler_that_clings_to_life_ends_no_other(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    async def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        while payload["task_id"] == "clings":
            try:
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                log.add("no")

    with working(url, registry_of(handler)) as worker:
        push(redis, "clings", max_retry="0", timeout="0.1")
        push(redis, "other")
        wait_until(lambda: worker.status.completed == 1, "the other did not run")

    assert log.entries[:3] == ["clings", "no", "other"]


@pytest.mark.parametrize("flag", [{"cancel": "1"}, {"claim": "another's"}])
def test_an_async_handler_that_is_cancelled_or_lost_is_ended_and_may_clean_up(
    redis: redis_py.Redis, url: str, flag: dict[str, str]
) -> None:
    log = Log()

    async def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        if payload["task_id"] == "next":
            return
        try:
            await asyncio.sleep(20)
        finally:
            await asyncio.sleep(0.3)
            log.add("cleaned up")

    with working(url, registry_of(handler), lease=1.5) as worker:
        push(redis, "slow")
        wait_until(lambda: log.entries, "it was not started")
        redis.hset("asynq:t:slow", mapping=flag)
        push(redis, "next")
        wait_until(lambda: len(log) == 3, "it goes on")
        assert worker.status.abandoned == 0
        assert told(worker, "was given to another worker") == []

    assert log.entries == ["slow", "cleaned up", "next"]
    if "cancel" in flag:
        assert places(redis, "slow") == ["archived"]
        assert field(redis, "slow", "error_msg") == b"cancelled"
    else:
        assert field(redis, "slow", "claim") == b"another's"


def test_a_cancelled_task_is_cancelled_although_its_async_handler_returned(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    async def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            log.add("done all the same")

    with working(url, registry_of(handler), lease=1.5) as worker:
        push(redis, "a")
        wait_until(lambda: log.entries, "it was not started")
        redis.hset("asynq:t:a", "cancel", "1")
        wait_until(lambda: places(redis, "a") == ["archived"], "it was not cancelled")

    assert log.entries == ["a", "done all the same"]
    assert worker.status.completed == 0
    assert field(redis, "a", "error_msg") == b"cancelled"


def test_a_plain_handler_that_is_cancelled_runs_to_its_end_and_is_not_retried(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()
    go_on = threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        go_on.wait(20)
        if payload["task_id"] == "fails":
            raise ValueError("broken")

    with working(url, registry_of(handler), lease=1.5, concurrency=2) as worker:
        for task_id in ("fails", "ends"):
            push(redis, task_id)
        wait_until(lambda: len(log) == 2, "they were not started")
        for task_id in ("fails", "ends"):
            redis.hset(f"asynq:t:{task_id}", "cancel", "1")
        wait_until(lambda: _are_told(worker), "they were not told")
        go_on.set()
        wait_until(lambda: not worker.status.running, "they do not end")

    for task_id in ("fails", "ends"):
        assert field(redis, task_id, "error_msg") == b"cancelled"
        assert places(redis, task_id) == ["archived"]


@pytest.mark.parametrize("how", ["cancelled", "lost", "stopped"])
def test_a_plain_handler_that_heeds_what_it_is_told_ends_without_a_failed_attempt(
    redis: redis_py.Redis, url: str, how: str
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        while True:
            current_task().check()
            threading.Event().wait(0.02)

    with working(url, registry_of(handler), lease=1.5, shutdown_timeout=5.0) as worker:
        push(redis, "a")
        wait_until(lambda: log.entries, "it was not started")
        if how == "stopped":
            worker.stop()
        else:
            flag = {"cancel": "1"} if how == "cancelled" else {"claim": "another's"}
            redis.hset("asynq:t:a", mapping=flag)
        wait_until(lambda: not worker.status.running, "it goes on")

    assert field(redis, "a", "retry") == b"0"
    if how == "stopped":
        assert places(redis, "a") == ["pending"]
    if how == "cancelled":
        assert places(redis, "a") == ["archived"]
        assert field(redis, "a", "error_msg") == b"cancelled"


def _are_told(worker: Worker) -> bool:
    held = worker.held()
    return len(held) == 2 and all(running.leash.is_pulled for _, running in held)


def test_hanging_handlers_are_made_up_for_only_so_often(
    redis: redis_py.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runqy_notebook.worker.crew.MOST_ABANDONED", 2)
    log = Log()
    go_on = threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        if payload["task_id"].startswith("hangs"):
            go_on.wait(20)

    with working(url, registry_of(handler, timeout=0.1), concurrency=2) as worker:
        for number in range(4):
            push(redis, f"hangs{number}", max_retry="0")
        push(redis, "good")
        wait_until(lambda: worker.status.abandoned == 4, "they do not hang")
        assert "good" not in log.entries
        assert worker.status.running == {}
        go_on.set()
        wait_until(lambda: "good" in log.entries, "no slot came back")
        wait_until(lambda: worker.status.abandoned == 0, "they do not end")


def test_a_deadline_that_has_passed_archives_the_task(redis: redis_py.Redis, url: str) -> None:
    with working(url, registry_of(lambda payload: None)):
        push(redis, "a", deadline="1000")
        wait_until(lambda: redis.zcard(BASE + "archived"), "it ran")

    assert b"deadline" in (field(redis, "a", "error_msg") or b"")


# --- garbage -------------------------------------------------------------------------------------

RUN = {
    "null": None,
    "[1]": [1],
    '"s"': "s",
    "NaN": float("nan"),
    "1e999": float("inf"),
    '{"a": 1, "a": 2}': {"a": 2},
    r'"\ud800"': "\N{REPLACEMENT CHARACTER}",
    '"' + "x" * (20 * 2**20) + '"': "x" * (20 * 2**20),
}
ARCHIVED = [b"", b"{", b"[" * 100_000, b"\xff\xfe\x00", b"\x00", b'"\xff"', b"{}{}", b"1" * 5000]


def test_any_payload_is_run_or_archived_with_a_reason_and_no_slot_is_lost(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    def handler(payload: object) -> None:
        log.add(payload)

    with working(url, registry_of(handler), concurrency=2) as worker:
        for number, text in enumerate(RUN):
            push(redis, f"run{number}", payload=text)
        for number, garbage in enumerate(ARCHIVED):
            push(redis, f"bad{number}", payload=garbage)
        redis.hset("asynq:t:none", "type", "task")
        redis.lpush(BASE + "pending", "none")
        wait_until(lambda: worker.status.completed == len(RUN), "not all ran")
        wait_until(lambda: worker.status.failed == len(ARCHIVED) + 1, "not all were archived")

    assert sorted(map(repr, log.entries)) == sorted(map(repr, RUN.values()))
    for number in range(len(ARCHIVED)):
        assert places(redis, f"bad{number}") == ["archived"]
        reason = field(redis, f"bad{number}", "error_msg") or b""
        assert reason.startswith(b"the payload is unusable: ")
        assert b"\n" not in reason


NONSENSE = [b"", b"-1", b"banana", b"9" * 400, b"1.5", b"\xff", b"1e3", b" 1", b"\x00"]


@pytest.mark.parametrize("name", ["retry", "max_retry", "timeout", "result_ttl", "starts"])
def test_nonsense_in_a_number_is_read_as_nothing(
    redis: redis_py.Redis, url: str, name: str
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        raise ValueError("once")

    with working(url, registry_of(handler)) as worker:
        for number, garbage in enumerate(NONSENSE):
            push(redis, f"t{number}", **{"max_retry": "0", name: garbage})
        wait_until(lambda: worker.status.failed == len(NONSENSE), "not all ran")

    assert sorted(log.entries) == sorted(f"t{number}" for number in range(len(NONSENSE)))
    assert redis.zcard(BASE + "archived") == len(NONSENSE)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_the_same_id_pushed_three_times_runs_one_at_a_time(
    redis: redis_py.Redis, url: str, concurrency: int
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> None:
        with log.running(payload["task_id"]):
            threading.Event().wait(0.2)

    with working(url, registry_of(handler), concurrency=concurrency):
        for queue in ("mail_default", "mail_default", "mail_high"):
            push(redis, "same", queue)
        wait_until(lambda: len(log) >= 2, "the second did not run")
        wait_until(lambda: not redis.exists("asynq:nb:waiting", BASE + "pending"), "some wait")

    assert log.most_at_once == 1
    assert not redis.exists(BASE + "active", "asynq:mail_high:active")


def test_a_task_of_a_type_without_a_handler_fails_with_a_hint(
    redis: redis_py.Redis, url: str
) -> None:
    registry = registry_of(lambda payload: None, "mail", type="resize")
    add(registry, lambda payload: None, "mail", type="send")
    with working(url, registry):
        push(redis, "a", type="resise", max_retry="0")
        wait_until(lambda: redis.zcard(BASE + "archived"), "it is not archived")

    reason = (field(redis, "a", "error_msg") or b"").decode()
    assert "No handler for tasks of type 'resise'" in reason
    assert "resize, send" in reason
    assert "Did you mean 'resize'?" in reason


def test_a_task_deleted_while_it_runs_is_told_of(redis: redis_py.Redis, url: str) -> None:
    def handler(payload: dict[str, Any]) -> None:
        redis.delete(f"asynq:t:{payload['task_id']}")

    with working(url, registry_of(handler)) as worker:
        push(redis, "a")
        wait_until(lambda: told(worker, "was deleted while it ran here"), "nothing was told")

    assert places(redis, "a") == []


def test_a_lost_lease_is_told_of_once(redis: redis_py.Redis, url: str) -> None:
    go_on = threading.Event()

    with working(url, registry_of(lambda payload: go_on.wait(20)), lease=1.5) as worker:
        push(redis, "a")
        wait_until(lambda: worker.status.running, "it does not run")
        redis.hset("asynq:t:a", "claim", "another's")
        wait_until(lambda: told(worker, "is no longer ours"), "nothing was told")
        threading.Event().wait(1.2)  # two more renewals
        go_on.set()
        wait_until(lambda: told(worker, "was given to another worker"), "it was not fenced")

    assert len(told(worker, "is no longer ours")) == 1


def test_a_lease_is_renewed_for_as_long_as_the_handler_runs(
    redis: redis_py.Redis, url: str
) -> None:
    log = Log()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        threading.Event().wait(2.5)

    registry = registry_of(handler)
    with working(url, registry, lease=1.0) as worker, working(url, registry, lease=1.0):
        push(redis, "a")
        wait_until(lambda: redis.zcard(BASE + "completed"), "it is not completed")
        assert told(worker, "given to another") == []

    assert log.entries == ["a"]
    assert all(not redis.zcard(BASE + name) for name in SETS if name != "completed")
