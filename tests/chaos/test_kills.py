"""Workers and the server are killed all the time, and still each task is done."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.chaos.fleet import Fleet
from tests.chaos.harness import enqueue, left_over, lost, naps, remains, wait_for_ends
from tests.chaos.journal import Journal
from tests.chaos.releases import previous_release
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import DURABLE, Server
from tests.waiting import wait_until

SEED = 3
CONCURRENCY, LEASE = 4, 3.0
LONGEST = 0.08  # seconds that a task takes
CRASH_LIMIT = 1_000  # the killer is outside, no task is to blame
# One blow can do so to twelve tasks, where the machine is slow; the short form has few tasks.
DUPLICATES = size(short=0.02, full=0.01)
OPTIONS = {"concurrency": CONCURRENCY, "lease": LEASE, "crash_limit": CRASH_LIMIT}


class Blow(NamedTuple):
    """Somebody is killed once so many tasks are done."""

    after: int
    victim: int | None  # a worker's place in the fleet; None: the server


class Storm(NamedTuple):
    """How many of what is killed while how many tasks run."""

    tasks: int
    workers: int
    worker_kills: int
    server_kills: int

    def schedule(self, random: Random) -> list[Blow]:
        """All kills, spread over the run."""
        victims: list[int | None] = [
            random.randrange(self.workers) for _ in range(self.worker_kills)
        ]
        every = self.worker_kills // self.server_kills
        for at in range(self.server_kills):
            victims.insert(at * (every + 1) + every // 2, None)
        step = self.tasks * 0.95 / len(victims)
        return [Blow(int(step * (at + 1)), victim) for at, victim in enumerate(victims)]


def test_no_task_is_lost_to_kills_of_workers_and_server(
    make_server: Callable[..., Server], fleet: Fleet, judge: Callable[..., None]
) -> None:
    storm = size(short=Storm(2_000, 3, 40, 4), full=Storm(10_000, 3, 200, 20))

    def start(url: str) -> None:
        fleet.start(url, count=storm.workers, **OPTIONS)

    judge(weather("kills", storm, make_server(*DURABLE), fleet, start))


def test_no_task_is_lost_where_half_the_workers_run_the_previous_release(
    make_server: Callable[..., Server], fleet: Fleet, judge: Callable[..., None], tmp_path: Path
) -> None:
    release = previous_release(tmp_path / "previous")
    storm = size(short=Storm(1_000, 4, 12, 2), full=Storm(10_000, 4, 200, 20))

    def start(url: str) -> None:
        fleet.start(url, count=storm.workers // 2, release=release, **OPTIONS)
        fleet.start(url, count=storm.workers // 2, **OPTIONS)

    judge(weather("kills, two releases", storm, make_server(*DURABLE), fleet, start))


def weather(
    name: str, storm: Storm, server: Server, fleet: Fleet, start: Callable[[str], None]
) -> Row:
    """Tasks, workers by `start`, and all blows of the storm; what came of it."""
    random = Random(SEED)
    journal = fleet.journal
    ids = enqueue(server.url, naps(random, storm.tasks, LONGEST))
    server.sync()
    began = time.monotonic()
    start(server.url)

    blows = storm.schedule(random)
    pauses = [strike(blow, server, fleet, random.uniform(0.1, 0.5)) for blow in blows]
    wait_for_ends(journal, ids, 30)

    took = time.monotonic() - began
    return Row(
        name,
        f"{storm.tasks} tasks, {storm.workers} workers x {CONCURRENCY}, {storm.worker_kills} kill "
        f"-9 of workers, {storm.server_kills} of the server (AOF everysec), seed {SEED}",
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
            "extra starts": (storm.worker_kills + storm.server_kills) * CONCURRENCY,
            "duplicate completions": storm.tasks * DUPLICATES,
            "left over": 0,
            "longest pause s": 2,
        },
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
    # What a busy disk has not taken yet is lost with any server: then tasks run again.
    wait_until(server.has_written, "its disk takes nothing", 30)
    server.kill()
    time.sleep(downtime)
    answered_at = server.restart()
    wait_until(
        lambda: _last_start(journal) > answered_at or not remains(server.client),
        "nothing is consumed any more",
        10,
    )
    fresh = (event.at for event in journal.of("start") if event.at > answered_at)
    return round(next(fresh, answered_at) - answered_at, 3)  # 0 where nothing was left to do


def cut_short(fleet: Fleet) -> int:
    """How many runs were under way in workers that were killed."""
    living = {worker.pid for worker in fleet.workers}
    runs = {event[1:3] for event in fleet.journal.of("start") if event.pid not in living}
    return len(runs - {event[1:3] for event in fleet.journal.of("end")})


def _last_start(journal: Journal) -> float:
    return journal.of("start")[-1].at
