"""The server stands still, and the workers' clocks are wrong."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from random import Random

import pytest
import redis as redis_py

from runqy_notebook.wire.layout import DOCUMENTED
from runqy_notebook.wire.states import State
from tests.chaos import clock
from tests.chaos.fleet import ROOT, Fleet
from tests.chaos.handlers import QUEUE
from tests.chaos.harness import KEYS, crashes, enqueue, fields, left_over, lost, wait_for_ends
from tests.chaos.journal import VARIABLE, Journal
from tests.chaos.producer import SEED as PRODUCER_SEED
from tests.chaos.report import Row, percentile
from tests.chaos.scale import IS_FULL, size
from tests.chaos.servers import Server
from tests.waiting import wait_until

SEED = 7
LEASE = size(short=3.0, full=15.0)
RUNNING = 12
HOUR = 3600


def test_a_frozen_server_makes_nothing_run_twice(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    random, journal = Random(SEED), fleet.journal
    fleet.start(server.url, count=3, concurrency=4, lease=LEASE)
    longest = 3 * LEASE
    naps = [{"act": "nap", "seconds": random.uniform(0.5, 1.2) * longest} for _ in range(RUNNING)]
    ids = enqueue(server.url, naps)
    wait_until(lambda: len(journal.times("start")) == RUNNING, "not all were started")

    server.freeze()
    time.sleep(3 * LEASE)
    server.thaw()
    wait_for_ends(journal, ids, 2 * LEASE)

    left = left_over(server.client)
    judge(
        Row(
            "frozen server",
            f"SIGSTOP for 3 x lease {LEASE:g} s, {RUNNING} tasks running, seed {SEED}",
            {
                "lost": lost(journal, ids),
                "extra starts": journal.extra("start"),
                "duplicate completions": journal.extra("end"),
                "crashes counted": crashes(server.client, ids),
                "left over": left,
            },
            {
                "lost": 0,
                "extra starts": 0,
                "duplicate completions": 0,
                "crashes counted": 0,
                "left over": 0,
            },
        )
    )


def test_wrong_clocks_of_clients_change_nothing(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    for hours in (HOUR, -HOUR):
        fleet.start(server.url, env=clock.skewed(hours), concurrency=16, lease=3.0)

    for hours in (HOUR, -HOUR):
        produce(server.url, fleet.journal, hours)
    ids = list(fleet.journal.times("put"))
    wait_for_ends(fleet.journal, ids, 30)

    taken = {task_id for task_id, n in fields(server.client, ids, "losses").items() if n}
    off = lateness(fleet.journal, taken)
    judge(
        Row(
            "wrong clocks",
            f"{len(ids)} tasks, a worker and a producer an hour ahead, others an hour behind "
            f"({clock.METHOD}), seed {PRODUCER_SEED}",
            {
                "lost": lost(fleet.journal, ids),
                "duplicate completions": fleet.journal.extra("end"),
                "started early": sum(late < -0.01 for late in off),
                "late p50 s": percentile(off, 0.5),
                "late p99 s": percentile(off, 0.99),
                "late at most s": percentile(off, 1.0),
                "left over": left_over(server.client),
                "leases lost": len(taken),
            },
            {
                "lost": 0,
                "duplicate completions": 0,
                "started early": 0,
                # A machine that stands still for a second makes a good part of all tasks late.
                "late at most s" if IS_FULL else "late p50 s": 1.0,
                "left over": 0,
            },
        )
    )


@pytest.mark.parametrize("hours", [HOUR, -HOUR], ids=["ahead", "behind"])
def test_a_deadline_is_judged_by_the_servers_clock(
    hours: int, server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    now = server.client.time()[0]
    for number in range(20):
        push(server.client, f"open-{number}", now + 60)
        push(server.client, f"over-{number}", now - 60)

    fleet.start(server.url, env=clock.skewed(hours), concurrency=4, lease=3.0)
    archived = KEYS.of(State.ARCHIVED)
    wait_until(lambda: server.client.zcard(archived) >= 20, "not all are archived")
    left = left_over(server.client)

    ran = fleet.journal.times("end")
    judge(
        Row(
            f"deadlines, clock {'ahead' if hours > 0 else 'behind'}",
            f"20 tasks within their deadline and 20 past it, by a worker whose clock is "
            f"{abs(hours) // HOUR} h {'ahead' if hours > 0 else 'behind'} ({clock.METHOD})",
            {
                "wrongly archived": 20 - sum(task_id.startswith("open") for task_id in ran),
                "wrongly run": sum(task_id.startswith("over") for task_id in ran),
                "left over": left,
            },
            {"wrongly archived": 0, "wrongly run": 0, "left over": 0},
        )
    )


def push(client: redis_py.Redis, task_id: str, deadline: int) -> None:
    """What a foreign producer does that sets a deadline."""
    fields = {"payload": '{"act": "nap"}', "queue": QUEUE, "deadline": str(deadline)}
    client.hset(DOCUMENTED.task(task_id), mapping=fields)
    client.lpush(KEYS.pending, task_id)


def produce(url: str, journal: Journal, hours: int) -> None:
    """Has a process with a wrong clock put tasks into the queue."""
    subprocess.run(
        [sys.executable, "-m", "tests.chaos.producer", url],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            VARIABLE: str(journal.path),
            **clock.skewed(hours),
        },
        check=True,
        timeout=30,
    )


def lateness(journal: Journal, taken: set[str]) -> list[float]:
    """Seconds by which the tasks that were to wait were started after they were due.

    Not of those that were taken from their worker: a handler notes its wish for another attempt
    before it is written down, and where the worker stood still for longer than the lease it never
    is. Such a task runs again at once, whatever the clocks say.
    """
    due = {event.id: event.at for event in journal.of("due") if event.id not in taken}
    last_start = {event.id: event.at for event in journal.of("start")}
    return [last_start[task_id] - at for task_id, at in due.items() if task_id in last_start]
