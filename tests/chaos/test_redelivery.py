"""How soon the tasks of a killed worker run elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from tests.chaos.fleet import Fleet
from tests.chaos.harness import enqueue, fields, second_chance, wait_for_ends
from tests.chaos.journal import Journal
from tests.chaos.report import Row, percentile
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

KILLS, IN_FLIGHT = size(short=3, full=50), 4
LEASE = size(short=3.0, full=15.0)


class Delays(NamedTuple):
    """Seconds from a kill until each task in flight is claimed by another worker, and until its
    handler is called again: suspects run one at a time.
    """

    claimed: list[float]
    started: list[float]


def test_the_guardian_hands_the_tasks_of_a_killed_worker_back_at_once(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    delays = redeliveries(server, fleet, KILLS, with_guardian=False)

    judge(row("redelivery", KILLS, delays, {"claimed p50 s": 0.5, "claimed p99 s": 2.0}))


def test_the_tasks_come_back_by_their_lease_when_the_guardian_is_killed_too(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    kills = size(short=1, full=5)

    delays = redeliveries(server, fleet, kills, with_guardian=True)

    pause = size(short=1.0, full=0.0)  # of the machine: one kill is one sample
    bounds = {"claimed p99 s": second_chance(LEASE) + pause}
    judge(row("redelivery, guardian killed too", kills, delays, bounds))


def row(name: str, kills: int, delays: Delays, bounds: dict[str, float]) -> Row:
    """The row of these delays."""
    figures = {
        f"{what} p{share} s": percentile(seconds, share / 100)
        for what, seconds in delays._asdict().items()
        for share in (50, 99)
    }
    given = f"{kills} kill -9 with {IN_FLIGHT} tasks in flight, lease {LEASE:g} s"
    return Row(name, given, figures, bounds)


def redeliveries(server: Server, fleet: Fleet, kills: int, *, with_guardian: bool) -> Delays:
    """Kills a worker again and again; the one that takes over is the next."""
    delays = Delays([], [])
    (worker,) = fleet.start(server.url, concurrency=IN_FLIGHT, lease=LEASE)
    for _ in range(kills):
        ids = enqueue(server.url, [{"act": "nap_once", "seconds": 60}] * IN_FLIGHT)
        wait_until(lambda ids=ids: started(fleet.journal, ids, 1), "nothing was started")
        (heir,) = fleet.start(server.url, concurrency=IN_FLIGHT, lease=LEASE)
        assert worker.guardian is not None
        clock = time.time() - time.monotonic()
        killed_at = worker.kill(with_guardian=with_guardian)
        for at in starts_after(killed_at, fleet.journal, ids):
            delays.started.append(at - killed_at)
        for at in fields(server.client, ids, "started_at").values():
            delays.claimed.append(float(at or 0) - clock - killed_at)
        worker = heir
    return delays


def starts_after(moment: float, journal: Journal, ids: list[str]) -> list[float]:
    """When each of these tasks was started again, once all are done."""
    patience = 2 * second_chance(LEASE)
    wait_until(lambda: started(journal, ids, 2), "they were not redelivered", patience)
    wait_for_ends(journal, ids, 10)
    return [event.at for event in journal.of("start") if event.id in ids and event.at > moment]


def started(journal: Journal, ids: list[str], times: int) -> bool:
    """Whether each task was started so often."""
    return all(journal.times("start")[task_id] >= times for task_id in ids)
