"""How soon the tasks of a killed worker run elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.fleet import Fleet, WorkerProcess
from tests.chaos.harness import enqueue, second_chance, wait_for_ends
from tests.chaos.journal import Journal
from tests.chaos.report import Row, percentile
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

KILLS, IN_FLIGHT = size(short=4, full=50), 4
LEASE = size(short=3.0, full=15.0)


def test_the_guardian_hands_the_tasks_of_a_killed_worker_back_at_once(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    delays, is_guarded = redeliveries(server, fleet, KILLS, with_guardian=False)

    bounds = {"p50 s": 0.5, "p99 s": 2.0} if is_guarded else {"p99 s": second_chance(LEASE)}
    judge(row("redelivery" if is_guarded else "redelivery, no guardian", KILLS, delays, bounds))


def test_the_tasks_come_back_by_their_lease_when_the_guardian_is_killed_too(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    kills = size(short=2, full=5)

    delays, is_guarded = redeliveries(server, fleet, kills, with_guardian=True)

    if not is_guarded:
        pytest.skip("there is no guardian yet, so the other row says it all")
    judge(row("redelivery, guardian killed", kills, delays, {"p99 s": second_chance(LEASE)}))


def row(name: str, kills: int, delays: list[float], bounds: dict[str, float]) -> Row:
    given = f"{kills} kill -9 with {IN_FLIGHT} tasks in flight, lease {LEASE:g} s"
    figures = {"p50 s": percentile(delays, 0.5), "p99 s": percentile(delays, 0.99)}
    return Row(name, given, figures, bounds)


def redeliveries(
    server: Server, fleet: Fleet, kills: int, *, with_guardian: bool
) -> tuple[list[float], bool]:
    """Seconds from a kill to each of the tasks' next start, and whether there were guardians.

    The worker that takes over is the next to be killed.
    """
    delays: list[float] = []
    (worker,) = fleet.start(server.url, concurrency=IN_FLIGHT, lease=LEASE)
    is_guarded = worker.guardian is not None
    for _ in range(kills):
        ids = enqueue(server.url, [{"act": "nap_once", "seconds": 60}] * IN_FLIGHT)
        wait_until(lambda ids=ids: started(fleet.journal, ids, 1), "nothing was started")
        (heir,) = fleet.start(server.url, concurrency=IN_FLIGHT, lease=LEASE)
        delays += delays_after(worker, fleet.journal, ids, with_guardian=with_guardian)
        worker = heir
    return delays, is_guarded


def delays_after(
    worker: WorkerProcess, journal: Journal, ids: list[str], *, with_guardian: bool
) -> list[float]:
    """Kills the worker; the seconds until each of its tasks is started again."""
    killed_at = worker.kill(with_guardian=with_guardian)
    wait_until(
        lambda: started(journal, ids, 2), "they were not redelivered", 2 * second_chance(LEASE)
    )
    wait_for_ends(journal, ids, 10)
    return [
        event.at - killed_at
        for event in journal.of("start")
        if event.id in ids and event.at > killed_at
    ]


def started(journal: Journal, ids: list[str], times: int) -> bool:
    """Whether each task was started so often."""
    return all(journal.times("start")[task_id] >= times for task_id in ids)
