"""Handlers in processes of their own: what holds in threads holds there, and deaths cost nobody."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Fail, Retry, current_task
from runqy_notebook.errors import HandlerError, LoadError
from runqy_notebook.events import Events
from runqy_notebook.registry import Registry
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome, Retried
from runqy_notebook.worker import process
from runqy_notebook.worker.worker import Worker
from tests.broking import field, push
from tests.chaos.fleet import children
from tests.waiting import wait_until
from tests.working import add, add_loader, new_worker, registry_of, told, working


class Ended:
    """What became of tasks, by id."""

    def __init__(self) -> None:
        self.outcomes: dict[str, list[Outcome]] = {}

    def __call__(self, outcome: Outcome) -> None:
        self.outcomes.setdefault(outcome.task.id, []).append(outcome)

    def value(self, task_id: str) -> Any:
        outcome = self.outcomes[task_id][-1]
        assert isinstance(outcome, Completed), outcome
        return outcome.value

    def wait(self, *ids: str) -> None:
        def is_over(task_id: str) -> bool:
            outcomes = self.outcomes.get(task_id, [])
            return any(isinstance(each, (Completed, Archived)) for each in outcomes)

        wait_until(lambda: all(map(is_over, ids)), f"{ids} did not end: {self.outcomes}", 20)


@pytest.fixture
def ended() -> Ended:
    return Ended()


@pytest.fixture
def work(url: str, ended: Ended) -> Callable[..., Any]:
    """A worker whose handlers run in processes."""

    def start(registry: Registry, **options: Any) -> Any:
        return working(url, registry, executor="process", on_outcome=ended, **options)

    return start


class UnpickledBy:
    """Sent as a call, which is made where it arrives."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self._call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self._call


def error(ended: Ended, task_id: str) -> str:
    """What is said of a task that was archived in its only attempt."""
    (outcome,) = ended.outcomes[task_id]
    assert isinstance(outcome, Archived), outcome
    return outcome.error


def is_alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it may end while it is read
        return False
    return "Z" not in stat.rpartition(")")[2][:3]


def written(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_handlers_run_beside_the_kernel_and_each_other(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")

    def handler(payload: dict[str, Any]) -> tuple[int, Any]:
        with open(log, "a") as journal:
            journal.write("here ")
        while len(open(log).read().split()) < 2:  # noqa: SIM115 - until the other one is here too
            time.sleep(0.01)
        return os.getpid(), payload["n"]

    for n in (1, 2):
        push(redis, f"t{n}", payload=json.dumps({"n": n}))
    with work(registry_of(handler), concurrency=2):
        ended.wait("t1", "t2")

    (first, one), (second, two) = ended.value("t1"), ended.value("t2")
    assert (one, two) == (1, 2)
    assert len({first, second, os.getpid()}) == 3


def test_a_loader_runs_once_in_a_process_and_again_when_it_is_defined_anew(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def loader_of(kind: str) -> Callable[[], dict[str, Any]]:
        def load() -> dict[str, Any]:
            return {"pid": os.getpid(), "runs": [], "kind": kind}

        return load

    def handler(payload: dict[str, Any], ctx: dict[str, Any]) -> Any:
        ctx["runs"].append(payload["n"])
        return ctx["kind"], ctx["runs"], ctx["pid"] == os.getpid()

    registry = registry_of(handler)
    add_loader(registry, loader_of("old"))
    with work(registry):
        for n in (1, 2, 3):
            push(redis, f"t{n}", payload=json.dumps({"n": n}))
            ended.wait(f"t{n}")
            if n == 2:
                add_loader(registry, loader_of("new"))

    assert [ended.value(f"t{n}") for n in (1, 2, 3)] == [
        ("old", [1], True),
        ("old", [1, 2], True),
        ("new", [3], True),
    ]


def test_the_next_task_uses_a_handler_defined_again_and_globals_set_again(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def made(code: str, names: dict[str, Any]) -> Any:
        exec(code, names)  # as a cell does
        return names["handler"]

    cell: dict[str, Any] = {"__name__": "__main__", "factor": 1}
    registry = registry_of(made("def handler(payload): return 'old', factor", cell))
    with work(registry):
        push(redis, "t1")
        ended.wait("t1")
        cell["factor"] = 2
        push(redis, "t2")
        ended.wait("t2")
        add(registry, made("def handler(payload): return 'new', factor", cell))
        push(redis, "t3")
        ended.wait("t3")

    assert [ended.value(f"t{n}") for n in (1, 2, 3)] == [("old", 1), ("old", 2), ("new", 2)]


def test_a_handler_of_a_module_that_was_reloaded_is_the_new_one(
    redis: redis_py.Redis,
    work: Callable[..., Any],
    ended: Ended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import importlib

    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    module_file = tmp_path / "their_handlers.py"
    module_file.write_text("def handler(payload): return 'old'\n")
    module = importlib.import_module("their_handlers")
    registry = registry_of(module.handler)
    with work(registry):
        push(redis, "t1")
        ended.wait("t1")
        module_file.write_text("def handler(payload): return 'as edited'\n")
        add(registry, importlib.reload(module).handler)
        push(redis, "t2")
        ended.wait("t2")
    del sys.modules["their_handlers"]

    assert [ended.value("t1"), ended.value("t2")] == ["old", "as edited"]


def test_what_handlers_say_is_told_of_their_own_task(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    events: list[Event] = []
    hub = Events()
    hub.subscribe(events.append)

    def handler(payload: dict[str, Any]) -> None:
        import logging

        name = current_task().id
        print(name, "printed")
        logging.getLogger("theirs").warning("%s logged", name)
        current_task().log(name, "told")
        current_task().progress(1, 2, name)
        subprocess.run(["echo", name, "echoed"], check=True)
        print(name, "no newline", end="")

    ids = ("a", "b", "c")
    for task_id in ids:
        push(redis, task_id)
    with work(registry_of(handler), events=hub, concurrency=2):
        ended.wait(*ids)

    for name in ids:
        own = [event for event in events if event.task_id == name]
        lines = [line for event in own if event.kind is Kind.LOG for line in event.lines]
        assert sorted(lines) == sorted(
            f"{name} {what}" for what in ("printed", "logged", "told", "echoed", "no newline")
        )
        assert [e.note for e in own if e.kind is Kind.PROGRESS] == [name]
        last_words = max(i for i, e in enumerate(own) if e.kind is Kind.LOG)
        assert own[last_words + 1].kind is Kind.COMPLETED


class OfTheirOwn(Exception):
    """An error whose class wants more than a message."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{code}: {why}")


def test_what_handlers_raise_is_what_they_mean(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def handler(payload: dict[str, Any]) -> None:
        kind = payload["kind"]
        if kind == "value":
            raise ValueError("broken")
        if kind == "own":
            raise OfTheirOwn(7, why="so")
        if kind == "exit":
            sys.exit("enough")
        if kind == "fail":
            raise Fail("no such image")
        if current_task().attempt == 1:
            raise Retry(in_seconds=0, why="not yet")

    for kind in ("value", "own", "exit", "fail", "retry"):
        retries = "3" if kind in ("retry", "fail") else "0"
        push(redis, kind, payload=json.dumps({"kind": kind}), max_retry=retries)
    with work(registry_of(handler)):
        ended.wait("value", "own", "exit", "fail", "retry")

    def archived(task_id: str) -> Archived:
        (outcome,) = ended.outcomes[task_id]
        assert isinstance(outcome, Archived)
        return outcome

    assert archived("value").error == "ValueError: broken"
    assert isinstance(archived("value").cause, ValueError)
    assert 'raise ValueError("broken")' in archived("value").traceback_text
    assert "inside.py" not in archived("value").traceback_text
    assert archived("own").error == "OfTheirOwn: 7: so"
    assert archived("exit").error == "SystemExit: enough"
    assert archived("fail").error == "no such image"
    first, last = ended.outcomes["retry"]
    assert isinstance(first, Retried)
    assert (first.error, first.delay) == ("not yet", 0)
    assert isinstance(last, Completed)


def test_an_async_handler_runs_there_too_and_its_process_outlives_its_time_limit(
    redis: redis_py.Redis,
    work: Callable[..., Any],
    ended: Ended,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "CLEANING_UP", 10.0)  # however long the child has to wait for CPU

    async def handler(payload: dict[str, Any]) -> int:
        await asyncio.sleep(payload["seconds"])
        return os.getpid()

    push(redis, "before", payload='{"seconds": 0}')
    push(redis, "long", payload='{"seconds": 60}', timeout="0.2", max_retry="0")
    push(redis, "after", payload='{"seconds": 0}')
    with work(registry_of(handler)):
        ended.wait("before", "long", "after")

    (outcome,) = ended.outcomes["long"]
    assert isinstance(outcome, Archived)
    assert outcome.error == "timed out after 0.2 s"
    assert ended.value("before") == ended.value("after")


def test_a_cancelled_async_handler_cleans_up_in_its_process(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")

    async def handler(payload: object) -> None:
        try:
            with open(log, "a") as journal:
                journal.write("began ")
            await asyncio.sleep(600)
        finally:
            with open(log, "a") as journal:
                journal.write("cleaned-up ")

    push(redis, "t1")
    with work(registry_of(handler), lease=1.0):
        wait_until(lambda: written(tmp_path / "log"), "did not start")
        redis.hset("asynq:t:t1", "cancel", "1")
        ended.wait("t1")

    assert written(tmp_path / "log") == ["began", "cleaned-up"]


def test_a_handler_past_its_time_limit_is_ended_with_what_it_started(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "pids")

    def handler(payload: dict[str, Any]) -> str:
        if payload.get("hangs"):
            program = subprocess.Popen(["sleep", "600"])
            with open(log, "w") as journal:
                journal.write(f"{os.getpid()} {program.pid}")
            while True:
                pass
        return "fine"

    push(redis, "hangs", payload='{"hangs": true}', timeout="0.5", max_retry="0")
    push(redis, "after")
    with work(registry_of(handler)) as worker:
        ended.wait("hangs", "after")
        pids = [int(pid) for pid in written(tmp_path / "pids")]

        wait_until(lambda: not any(map(is_alive, pids)), "they still run")
        assert worker.status.abandoned == 0

    (outcome,) = ended.outcomes["hangs"]
    assert isinstance(outcome, Archived)
    assert outcome.error == "timed out after 0.5 s"
    assert len(pids) == 2
    assert redis.hget("asynq:t:hangs", "crashes") is None


def test_a_cancelled_task_is_told_and_ends_with_its_process_if_it_does_not_heed(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "pids")

    def handler(payload: dict[str, Any]) -> None:
        with open(log, "a") as journal:
            journal.write(f"{os.getpid()} ")
        while payload.get("is_deaf"):
            time.sleep(0.01)
        while True:
            current_task().check()
            time.sleep(0.01)

    with work(registry_of(handler), lease=1.0, cancel_grace=0.5) as worker:
        for n, is_deaf in enumerate(("false", "true"), 1):
            push(redis, f"t{n}", payload=f'{{"is_deaf": {is_deaf}}}')
            wait_until(lambda: len(written(tmp_path / "pids")) == n, "did not start")  # noqa: B023
            redis.hset(f"asynq:t:t{n}", "cancel", "1")
            ended.wait(f"t{n}")
        polite, deaf = map(int, written(tmp_path / "pids"))
        wait_until(lambda: not is_alive(deaf), "the deaf one still runs")

        assert polite == deaf  # the first one left its process to the second
        assert worker.status.abandoned == 0
        assert not told(worker, "still runs in the background")

    for n in (1, 2):
        (outcome,) = ended.outcomes[f"t{n}"]
        assert isinstance(outcome, Archived)
        assert outcome.error == "cancelled"


def test_a_task_that_kills_its_process_is_archived_and_its_neighbours_are_not_blamed(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")

    def handler(payload: dict[str, Any]) -> None:
        with open(log, "a") as journal:
            journal.write(f"{current_task().id} ")
        if payload.get("kills"):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)

    neighbours = [f"n{n}" for n in range(20)]
    push(redis, "killer", payload='{"kills": true}', max_retry="5")
    for task_id in neighbours:
        push(redis, task_id)
    with work(registry_of(handler), concurrency=2):
        ended.wait(*neighbours)
        wait_until(lambda: field(redis, "killer", "state") == b"archived", "not archived")

    ran = written(tmp_path / "log")
    assert field(redis, "killer", "error_msg") == b"killed its worker 3 times"
    assert ran.count("killer") == 3
    assert sorted(set(ran) - {"killer"}) == sorted(neighbours)
    assert len(ran) == 3 + len(neighbours)
    for task_id in neighbours:
        assert field(redis, task_id, "crashes") is None
        assert field(redis, task_id, "losses") is None


def test_a_process_that_dies_idle_is_replaced_and_nobody_is_blamed(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def handler(payload: object) -> int:
        return os.getpid()

    push(redis, "t1")
    with work(registry_of(handler)):
        ended.wait("t1")
        os.kill(ended.value("t1"), signal.SIGKILL)
        push(redis, "t2")
        ended.wait("t2")

    assert len(ended.outcomes["t2"]) == 1
    assert ended.value("t2") not in (ended.value("t1"), os.getpid())


def test_a_handler_that_cannot_be_sent_is_named_with_what_it_uses(
    redis: redis_py.Redis, url: str
) -> None:
    lock = threading.Lock()

    def helper() -> None:
        with lock:
            pass

    def handler(payload: object) -> None:
        helper()

    worker = new_worker(url, registry_of(handler), executor="process")

    with pytest.raises(HandlerError, match=r": it uses 'lock' \(a lock\)\.") as caught:
        worker.start()
    assert "cannot run in another process" in str(caught.value)


def test_a_handler_that_can_no_longer_be_sent_keeps_its_tasks_waiting_until_it_can(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def handler_with(lock: Any) -> Callable[[object], str]:
        def handler(payload: object) -> str:
            return f"fine with {lock}"

        return handler

    registry = registry_of(handler_with(1))
    with work(registry) as worker:
        push(redis, "t1")
        ended.wait("t1")
        add(registry, handler_with(threading.Lock()))
        wait_until(lambda: told(worker, "uses 'lock' (a lock). Its queues wait"), "not told")
        push(redis, "t2")
        add(registry, handler_with(2))
        ended.wait("t2")

    assert ended.value("t2") == "fine with 2"


def test_a_loader_that_raises_there_stops_the_start(redis: redis_py.Redis, url: str) -> None:
    def load() -> None:
        raise OSError("no weights")

    registry = registry_of(lambda payload, ctx: None)
    add_loader(registry, load)
    worker = new_worker(url, registry, executor="process")

    with pytest.raises(LoadError, match="no weights") as caught:
        worker.start()
    assert 'raise OSError("no weights")' in caught.value.traceback_text


def test_a_result_that_cannot_be_sent_back_fails_its_task_at_once(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    push(redis, "t1", max_retry="3")
    with work(registry_of(lambda payload: threading.Lock())):
        ended.wait("t1")

    (outcome,) = ended.outcomes["t1"]
    assert isinstance(outcome, Archived)
    assert "its result cannot be sent back: TypeError" in outcome.error


def test_a_value_that_cannot_be_read_here_fails_its_task_at_once(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    class Unreadable:
        def __reduce__(self) -> tuple[type[int], tuple[str]]:
            return int, ("no number",)

    push(redis, "t1", max_retry="3")
    with work(registry_of(lambda payload: Unreadable())):
        ended.wait("t1")

    assert error(ended, "t1").startswith("its result cannot be read here: ValueError")


def test_an_error_that_cannot_be_sent_is_told_in_words(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def handler(payload: object) -> None:
        raise ValueError(threading.Lock())

    push(redis, "t1", max_retry="0")
    with work(registry_of(handler)):
        ended.wait("t1")

    assert error(ended, "t1").startswith("ValueError: <unlocked _thread.lock")


def test_a_handler_that_cannot_be_read_there_holds_its_task(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    broken = UnpickledBy(int, "no number")

    push(redis, "t1", max_retry="3")
    with work(registry_of(lambda payload: broken)):
        ended.wait("t1")

    assert error(ended, "t1").startswith(
        "held: its handler cannot run in another process (ValueError: "
    )


def test_a_handler_that_kills_its_process_before_it_is_called_is_blamed_and_nobody_else(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    deadly = UnpickledBy(signal.raise_signal, signal.SIGKILL)
    registry = registry_of(lambda payload: os.getpid(), "mail")
    add(registry, lambda payload: deadly, "deadly")

    push(redis, "good")
    with work(registry, concurrency=1) as worker:
        ended.wait("good")
        push(redis, "killer", queue="deadly_default", max_retry="5")
        worker.serve(["mail", "deadly"])
        push(redis, "after")
        ended.wait("after")
        wait_until(lambda: field(redis, "killer", "state") == b"archived", "not archived", 30)

    assert field(redis, "killer", "error_msg") == b"killed its worker 3 times"
    assert field(redis, "after", "crashes") is None


def test_a_loader_does_not_run_again_where_its_queue_is_served_again(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")

    def load() -> str:
        with open(log, "a") as journal:
            journal.write("loaded ")
        return "ctx"

    registry = registry_of(lambda payload, ctx: ctx, "mail")
    add_loader(registry, load, "mail")
    add(registry, lambda payload: "other", "other")

    with work(registry) as worker:
        for number, names in enumerate((["mail"], ["other"], ["mail"])):
            worker.serve(names)
            push(redis, f"t{number}", queue=f"{names[0]}_default")
            ended.wait(f"t{number}")

    assert [ended.value(f"t{number}") for number in range(3)] == ["ctx", "other", "ctx"]
    assert written(tmp_path / "log") == ["loaded"]


def test_a_loader_runs_again_in_the_process_that_replaces_a_dead_one(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    registry = registry_of(lambda payload, ctx: (ctx, os.getpid()))
    add_loader(registry, os.getpid)

    push(redis, "t1")
    with work(registry):
        ended.wait("t1")
        loaded, pid = ended.value("t1")
        os.kill(pid, signal.SIGKILL)
        push(redis, "t2")
        ended.wait("t2")

    assert loaded == pid
    assert len(set(ended.value("t2"))) == 1
    assert ended.value("t2") != (loaded, pid)


@pytest.mark.parametrize(
    ("second_time", "told_of_it"),
    [("dies", "the process that ran it died (exit code 7)"), ("hangs", "ran longer than 2 s")],
)
def test_a_loader_that_fails_in_a_new_process_fails_the_attempt_that_needed_it(
    redis: redis_py.Redis,
    work: Callable[..., Any],
    ended: Ended,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    second_time: str,
    told_of_it: str,
) -> None:
    monkeypatch.setattr(process, "BOOT", 1.0)
    sign = str(tmp_path / "sign")

    def load() -> None:
        if not os.path.exists(sign):
            return
        if second_time == "dies":
            os._exit(7)
        threading.Event().wait(60)

    registry = registry_of(lambda payload, ctx: os.getpid())
    add_loader(registry, load)

    push(redis, "t1")
    with work(registry):
        ended.wait("t1")
        Path(sign).touch()
        os.kill(ended.value("t1"), signal.SIGKILL)
        push(redis, "t2", max_retry="0", timeout="1")
        ended.wait("t2")

    assert error(ended, "t2").endswith(f"load': {told_of_it}")
    assert field(redis, "t2", "crashes") is None


def test_a_handler_defined_again_any_number_of_times_is_the_last_one(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended
) -> None:
    def handler_with(number: int) -> Callable[[object], int]:
        return lambda payload: number

    registry = registry_of(handler_with(0))
    with work(registry):
        for number in range(40):
            add(registry, handler_with(number))
            push(redis, f"t{number}")
            ended.wait(f"t{number}")

    assert [ended.value(f"t{number}") for number in range(40)] == list(range(40))


def test_a_stopped_worker_tells_its_handlers_then_ends_them_and_gives_their_tasks_back(
    redis: redis_py.Redis, work: Callable[..., Any], ended: Ended, tmp_path: Path
) -> None:
    log = str(tmp_path / "log")

    def handler(payload: dict[str, Any]) -> str:
        with open(log, "a") as journal:
            journal.write(f"{os.getpid()} ")
        while payload.get("is_deaf") or not current_task().cancelled:
            time.sleep(0.01)
        return "left early"

    push(redis, "polite")
    push(redis, "deaf", payload='{"is_deaf": true}')
    with work(registry_of(handler), concurrency=2) as worker:
        wait_until(lambda: len(written(tmp_path / "log")) == 2, "did not start")
        stopped = worker.stop(1.0)

    assert ended.value("polite") == "left early"
    assert stopped.released == ("deaf",)
    assert not any(is_alive(int(pid)) for pid in written(tmp_path / "log"))
    assert field(redis, "deaf", "state") == b"pending"


def test_workers_that_come_and_go_leave_no_process_thread_or_file(
    redis: redis_py.Redis, url: str, ended: Ended
) -> None:
    def held() -> tuple[int, int, int]:
        return (
            len(children(os.getpid())),
            threading.active_count(),
            len(os.listdir("/proc/self/fd")),
        )

    def cycle(n: int) -> Worker:
        push(redis, f"t{n}")
        registry = registry_of(lambda payload: None)
        with working(url, registry, executor="process", on_outcome=ended) as worker:
            ended.wait(f"t{n}")
        return worker

    cycle(0)
    before = held()
    for n in range(1, 21):
        cycle(n)

    def is_no_more() -> bool:
        return all(now <= then for now, then in zip(held(), before, strict=True))

    wait_until(is_no_more, f"{before} before")


ORPHANING = """
import os, sys, time
from tests.working import new_worker, registry_of

log = sys.argv[2]
def act(payload):
    with open(log, "a") as journal:
        journal.write(f"{os.getpid()} ")
    if payload.get("holds"):
        sum(range(10**11))  # one call that does not let go of Python's lock
    time.sleep(600)

new_worker(sys.argv[1], registry_of(act), executor="process", concurrency=3).start()
time.sleep(600)
"""


def test_a_killed_kernel_takes_its_processes_along(
    redis: redis_py.Redis, url: str, tmp_path: Path
) -> None:
    log = tmp_path / "pids"
    push(redis, "sleeps")
    push(redis, "holds", payload='{"holds": true}')
    kernel = subprocess.Popen([sys.executable, "-c", ORPHANING, url, str(log)])
    wait_until(lambda: len(written(log)) == 2, "did not start", 20)
    theirs = children(kernel.pid)

    kernel.kill()
    kernel.wait()

    wait_until(lambda: not any(map(is_alive, theirs)), "they still run", 10)
    assert len(theirs) == 4  # three slots and the guardian
    wait_until(
        lambda: redis.lrange("asynq:mail_default:pending", 0, -1), "they were not given back"
    )
    for task_id in ("sleeps", "holds"):
        assert field(redis, task_id, "state") == b"pending"
        assert field(redis, task_id, "crashes") is None
