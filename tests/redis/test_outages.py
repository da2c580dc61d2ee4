"""Redis goes away in every way it can, and comes back."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook.broker.embedded import fake_client
from tests.broking import BASE, places, push
from tests.servers import RunningServer, answers, running_server
from tests.waiting import wait_until
from tests.working import Log, new_worker, registry_of, told, working


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[RunningServer]:
    """A server that a test may hurt."""
    with running_server(tmp_path) as running:
        yield running


@contextmanager
def restarted(server: RunningServer) -> Iterator[None]:
    """The same server again, with its data and port, once it answers."""
    process = subprocess.Popen(server.process.args, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(plain(server)), "it does not come back")
        yield
    finally:
        process.kill()
        process.wait()


def plain(server: RunningServer) -> redis_py.Redis:
    """An outsider's client that does not wait for long."""
    return redis_py.Redis(port=server.port, socket_timeout=2)


def assert_one_line_each(notices: list[str]) -> None:
    assert len(set(notices)) == len(notices)
    assert all("Traceback" not in notice and "\n" not in notice for notice in notices)


def test_a_script_flush_goes_unnoticed(redis: redis_py.Redis, url: str) -> None:
    log = Log()

    with working(url, registry_of(log.note), concurrency=2) as worker:
        for number in range(200):
            push(redis, f"t{number}")
            if number % 20 == 0:
                redis.script_flush()
        wait_until(lambda: len(log) == 200, "not all ran")
        assert list(worker.notices) == []


def test_a_server_that_is_killed_and_comes_back_goes_on_where_it_was(tmp_path: Path) -> None:
    log = Log()
    options = ("--appendonly", "yes", "--appendfsync", "always")
    with running_server(tmp_path, *options) as first:
        client = plain(first)
        for number in range(30):
            push(client, f"t{number}")
        half = threading.Semaphore(10)

        def handler(payload: dict[str, Any]) -> None:
            log.note(payload)
            half.acquire(timeout=20)

        with working(first.url, registry_of(handler), concurrency=4) as worker:
            wait_until(lambda: len(log) >= 10, "it does not begin")
            first.process.kill()
            first.process.wait()
            half.release(20)
            wait_until(lambda: told(worker, "keeps trying"), "the outage was not told")
            assert not worker.status.is_healthy
            before = len(log)

            with restarted(first):
                came_back = time.monotonic()
                wait_until(lambda: len(log) > before, "it does not go on")
                assert time.monotonic() - came_back < 2
                wait_until(lambda: client.zcard(BASE + "completed") == 30, "some are not done")
                wait_until(lambda: worker.status.is_healthy, "it still feels ill")
                worker.stop()
                assert not client.exists(BASE + "active", BASE + "lease", BASE + "pending")

    assert sorted(log.entries) == sorted(f"t{number}" for number in range(30))
    assert len(told(worker, "no server listens there")) == 1
    assert len(told(worker, "Redis answers again")) == 1
    assert_one_line_each(list(worker.notices))


def test_while_redis_is_away_it_tries_at_most_five_times_a_second(
    own_server: RunningServer,
) -> None:
    worker = new_worker(own_server.url, registry_of(lambda payload: None), concurrency=8)
    worker.start()
    client = plain(own_server)
    wait_until(lambda: client.exists("asynq:nb:swept"), "no housekeeping")
    client.config_set("requirepass", "changed")
    client.auth("changed")

    def attempts() -> int:
        return int(client.info("stats")["total_connections_received"])

    client.client_kill_filter(_type="normal", skipme=True)
    before, began = attempts(), time.monotonic()
    threading.Event().wait(4)
    a_second = (attempts() - before) / (time.monotonic() - began)
    assert a_second <= 5
    assert len(told(worker, "keeps trying")) == 1
    assert told(worker, "password")

    client.config_set("requirepass", "")
    push(client, "a")
    mended = time.monotonic()
    wait_until(lambda: worker.status.completed == 1, "it does not go on")
    assert time.monotonic() - mended < 2
    worker.stop()
    assert_one_line_each(list(worker.notices))


def test_a_replica_is_an_outage_until_it_is_a_master_again(own_server: RunningServer) -> None:
    client = plain(own_server)
    with working(own_server.url, registry_of(lambda payload: None)) as worker:
        client.execute_command("REPLICAOF", "127.0.0.1", own_server.port)
        wait_until(lambda: told(worker, "keeps trying"), "the outage was not told", 15)
        client.execute_command("REPLICAOF", "NO", "ONE")
        push(client, "a")
        wait_until(lambda: worker.status.completed == 1, "it does not go on")
        wait_until(lambda: worker.status.is_healthy, "it still feels ill")

    assert len(told(worker, "read-only replica")) == 1
    assert_one_line_each([n for n in worker.notices if "answers again" not in n])


def test_with_full_memory_everything_that_is_pending_is_drained(
    own_server: RunningServer,
) -> None:
    client = plain(own_server)
    log = Log()
    for number in range(3000):
        push(client, f"t{number}", payload=f'{{"x": "{"y" * 200}"}}')
    client.config_set("maxmemory", client.info("memory")["used_memory"] - 10_000)

    with working(own_server.url, registry_of(log.note), concurrency=4) as worker:
        wait_until(lambda: len(log) == 3000, "it does not drain the queue", 30)
        wait_until(lambda: worker.status.completed == 3000, "not all are written down")
        client.config_set("maxmemory", 0)
        push(client, "after")
        wait_until(lambda: len(log) == 3001, "it does not go on")

    assert len(set(log.entries)) == 3001


def test_with_full_memory_an_idle_worker_neither_spins_nor_reconnects(
    own_server: RunningServer,
) -> None:
    client = plain(own_server)
    client.config_set("maxmemory", "1")

    def calls(command: str) -> int:
        stats = client.info("commandstats").get(f"cmdstat_{command}", {})
        return int(stats.get("calls", 0)) + int(stats.get("rejected_calls", 0))

    with working(own_server.url, registry_of(lambda payload: None)):
        wait_until(lambda: calls("blmove"), "it does not watch its queue")
        wait_until(lambda: calls("smembers") >= 2, "its keeper made no round")  # start() asks once
        client.config_resetstat()
        threading.Event().wait(1.5)
        assert client.info("stats")["total_connections_received"] <= 5
        assert calls("evalsha") < 40
        assert calls("blmove") <= 8


# --- stopping while Redis is away ----------------------------------------------------------------


@pytest.mark.parametrize("how", ["stopped", "killed"])
@pytest.mark.parametrize("busy", [True, False])
def test_a_stop_comes_to_its_end_without_redis(
    own_server: RunningServer, how: str, busy: bool
) -> None:
    client = plain(own_server)
    go_on = threading.Event()
    worker = new_worker(own_server.url, registry_of(lambda payload: go_on.wait(20)), concurrency=4)
    worker.start()
    if busy:
        for number in range(4):
            push(client, f"t{number}")
        wait_until(lambda: len(worker.status.running) == 4, "it does not begin")
    own_server.process.send_signal(signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    try:
        began = time.monotonic()
        stopped = worker.stop(0.5)
        took = time.monotonic() - began
    finally:
        own_server.process.send_signal(signal.SIGCONT)
        go_on.set()

    assert took < 0.5 + 3  # one second for Redis, one for the guardian
    assert len(stopped.released) == (4 if busy else 0)
    assert bool(told(worker, "redelivered when its lease ends")) == busy


def test_a_worker_that_ran_a_task_but_could_not_tell_says_so(own_server: RunningServer) -> None:
    client = plain(own_server)
    is_running, go_on = threading.Event(), threading.Event()

    def handler(payload: object) -> None:
        is_running.set()
        go_on.wait(20)

    worker = new_worker(own_server.url, registry_of(handler))
    worker.start()
    push(client, "a")
    assert is_running.wait(10)
    own_server.process.kill()
    go_on.set()
    wait_until(lambda: not worker.status.running, "the handler does not return")

    worker.stop(0.5)

    wait_until(lambda: told(worker, "could not be told"), "nothing was told")


def test_a_frozen_server_loses_and_repeats_nothing(own_server: RunningServer) -> None:
    client = plain(own_server)
    log = Log()
    is_frozen = threading.Event()

    def handler(payload: dict[str, Any]) -> None:
        log.note(payload)
        is_frozen.wait(20)

    registry = registry_of(handler)
    with working(own_server.url, registry, concurrency=3, lease=1.0) as worker:
        for number in range(6):
            push(client, f"t{number}")
        wait_until(lambda: len(log) == 3, "it does not begin")
        own_server.process.send_signal(signal.SIGSTOP)
        threading.Event().wait(3)  # three leases
        own_server.process.send_signal(signal.SIGCONT)
        threading.Event().wait(0.5)  # a renewal
        is_frozen.set()
        wait_until(lambda: answers(client) and worker.status.completed == 6, "not all ran")

    assert sorted(log.entries) == sorted(f"t{number}" for number in range(6))


# --- without a server ----------------------------------------------------------------------------


def test_the_stand_in_inside_the_process_runs_tasks_from_end_to_end() -> None:
    client = fake_client()
    client.flushall()
    log = Log()

    def handler(payload: dict[str, Any]) -> str:
        log.note(payload)
        if payload["task_id"] == "bad":
            raise ValueError("bad")
        return "result"

    with working(client, registry_of(handler), concurrency=2, store_results=True) as worker:
        push(client, "good")
        push(client, "bad", max_retry="1")
        wait_until(lambda: worker.status.completed == 1, "it does not run")
        wait_until(lambda: client.zcard(BASE + "archived"), "it is not archived")
        assert told(worker, "wrong") == told(worker, "keeps trying") == []

    assert sorted(log.entries) == ["bad", "bad", "good"]
    assert client.get("asynq:result:good") == b'"result"'
    assert places(client, "good") == ["completed"]
    assert client.ping()
