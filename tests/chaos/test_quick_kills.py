"""Workers are killed in the middle of claims of many tasks that take no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import redis

from runqy_notebook.worker.batch import WINDOW
from tests.chaos.fleet import Fleet
from tests.chaos.harness import KEYS, enqueue, left_over, lost, wait_for_ends
from tests.chaos.journal import Journal
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

KILLS = size(short=4, full=30)
A_KILL = 3_000  # tasks enqueued before each kill
CONCURRENCY, LEASE, SEED = 4, 15.0, 23
STEP = 0.001  # seconds from one task's begin to the next one's, at most, in a process that runs
BACK_WITHIN = size(short=LEASE / 2, full=2.0)  # seconds; a stop of the machine is no sweep yet


def test_a_worker_killed_in_the_middle_of_a_claim_repeats_one_window_at_most(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    random, journal, waits = Random(SEED), fleet.journal, list[float]()
    ids, repeatable, under_way = list[str](), 0, 0
    fleet.start(server.url, count=2, concurrency=CONCURRENCY, lease=LEASE, crash_limit=100)

    for _ in range(KILLS):
        reached = len(ids) + random.uniform(0.1, 0.5) * A_KILL
        ids += enqueue(server.url, [{"act": "nap", "seconds": 0}] * A_KILL)
        wait_until(lambda reached=reached: len(journal.of("end")) >= reached, "it stands still")
        worker = random.choice(fleet.workers)
        killed_at = worker.kill()
        repeatable += begun_in_a_window(journal, worker.pid)
        under_way += len(held_by(server.client, worker.pid))
        wait_until(lambda pid=worker.pid: not held_by(server.client, pid), "nothing came back")
        waits.append(time.monotonic() - killed_at)
        fleet.wait_ready(fleet.replace(worker))
        wait_for_ends(journal, ids, 60)

    figures = {
        "lost": lost(journal, ids),
        "extra starts": journal.extra("start"),
        "left over": left_over(server.client),
        "given back after s at most": max(waits),
        "begun in the windows before the kills": repeatable,
        "claimed when looked at after the kills": under_way,
    }
    bounds = {
        "lost": 0,
        "extra starts": KILLS * CONCURRENCY + repeatable,
        "left over": 0,
        "given back after s at most": BACK_WITHIN,
    }
    given = (
        f"{len(ids)} tasks of no length, 2 workers x {CONCURRENCY}, {KILLS} kill -9, seed {SEED}"
    )
    judge(Row("kills, quick tasks", given, figures, bounds))


def begun_in_a_window(journal: Journal, pid: int) -> int:
    """How many tasks this process began so shortly before its death that their outcomes may not
    have been written down. By a clock that stands still with the process: where it had to wait on
    a busy machine, so had the writing.
    """
    begun = sorted(event.at for event in journal.of("start") if event.pid == pid)
    seconds = 0.0
    for n in range(1, len(begun)):
        seconds += min(STEP, begun[-n] - begun[-n - 1])
        if seconds > WINDOW:
            return n
    return len(begun)


def held_by(client: redis.Redis, pid: int) -> list[bytes]:
    """The tasks of this queue that stand in active under a claim of this process."""
    ids = client.lrange(KEYS.base + "active", 0, -1)
    claims = [client.hget(b"asynq:t:" + task_id, "claim") for task_id in ids]
    mark = f":{pid}:".encode()
    return [i for i, claim in zip(ids, claims, strict=True) if claim and mark in claim]
