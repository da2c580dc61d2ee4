"""Workers and the server are killed all the time, and still each task is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.chaos.fleet import Fleet
from tests.chaos.harness import enqueue, left_over, lost, naps, wait_for_ends
from tests.chaos.journal import Journal
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import DURABLE, Server
from tests.waiting import wait_until

SEED = 3
TASKS = size(short=2_000, full=10_000)
WORKER_KILLS = size(short=40, full=200)
SERVER_KILLS = size(short=4, full=20)
WORKERS, CONCURRENCY, LEASE = 3, 4, 3.0
LONGEST = 0.08  # seconds that a task takes
CRASH_LIMIT = 1_000  # the killer is outside, no task is to blame


class Blow(NamedTuple):
    """Somebody is killed once so many tasks are done."""

    after: int
    victim: int | None  # a worker's place in the fleet; None: the server


def schedule(random: Random) -> list[Blow]:
    """All kills, spread over the run."""
    victims: list[int | None] = [random.randrange(WORKERS) for _ in range(WORKER_KILLS)]
    every = WORKER_KILLS // SERVER_KILLS
    for at in range(SERVER_KILLS):
        victims.insert(at * (every + 1) + every // 2, None)
    step = TASKS * 0.95 / len(victims)
    return [Blow(int(step * (at + 1)), victim) for at, victim in enumerate(victims)]


def test_no_task_is_lost_to_kills_of_workers_and_server(
    make_server: Callable[..., Server], fleet: Fleet, judge: Callable[..., None]
) -> None:
    random = Random(SEED)
    server, journal = make_server(*DURABLE), fleet.journal
    ids = enqueue(server.url, naps(random, TASKS, LONGEST))
    server.sync()
    options = {"concurrency": CONCURRENCY, "lease": LEASE, "crash_limit": CRASH_LIMIT}
    began = time.monotonic()
    fleet.start(server.url, count=WORKERS, **options)

    pauses = [strike(blow, server, fleet, random.uniform(0.1, 0.5)) for blow in schedule(random)]
    wait_for_ends(journal, ids, 30)

    took = time.monotonic() - began
    judge(
        Row(
            "kills",
            f"{TASKS} tasks, {WORKERS} workers x {CONCURRENCY}, {WORKER_KILLS} kill -9 of workers, "
            f"{SERVER_KILLS} of the server (AOF everysec), seed {SEED}",
            {
                "lost": lost(journal, ids),
                "extra starts": journal.extra("start"),
                "of them not by a worker's death": journal.extra("start") - cut_short(fleet),
                "duplicate completions": journal.extra("end"),
                "runs at the same time": journal.overlaps,
                "left over": left_over(server.client),
                "longest pause s": max(pauses),
                "seconds": round(took, 1),
            },
            {
                "lost": 0,
                "extra starts": (WORKER_KILLS + SERVER_KILLS) * CONCURRENCY,
                "duplicate completions": TASKS * 0.01,
                "left over": 0,
                "longest pause s": 2,
            },
        )
    )


def strike(blow: Blow, server: Server, fleet: Fleet, downtime: float) -> float:
    """One kill when its time has come; for the server, the seconds from its first answer until
    tasks are started again.
    """
    journal = fleet.journal
    wait_until(lambda: journal.times("end").total() >= blow.after, f"{blow} never came", 30)
    if blow.victim is not None:
        # The place in the list wanders, as a replacement is put last; the seed fixes it all.
        worker = fleet.workers[blow.victim]
        fleet.wait_ready(worker)
        worker.kill()
        fleet.replace(worker)
        return 0.0
    server.kill()
    time.sleep(downtime)
    answered_at = server.restart()
    wait_until(lambda: _last_start(journal) > answered_at, "nothing is consumed any more", 10)
    first = next(event for event in journal.of("start") if event.at > answered_at)
    return round(first.at - answered_at, 3)


def cut_short(fleet: Fleet) -> int:
    """How many runs were under way in workers that were killed."""
    living = {worker.pid for worker in fleet.workers}
    runs = {event[1:3] for event in fleet.journal.of("start") if event.pid not in living}
    return len(runs - {event[1:3] for event in fleet.journal.of("end")})


def _last_start(journal: Journal) -> float:
    return journal.of("start")[-1].at
