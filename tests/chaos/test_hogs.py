"""Handlers that take far longer than a lease, with or without letting others run."""

from __future__ import annotations

from collections.abc import Callable

from tests.chaos.fleet import Fleet
from tests.chaos.harness import crashes, enqueue, lost, remains, wait_for_ends
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

LEASE = size(short=1.2, full=15.0)
LEASES = {"hold": 6, "nap": 10}
SCENARIOS = {"hold": "GIL held", "nap": "long and polite"}


def test_a_long_handler_runs_once_beside_an_idle_worker(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    ids = {}
    for act, leases in LEASES.items():
        fleet.start(server.url, concurrency=1, lease=LEASE)
        ids[act] = enqueue(server.url, [{"act": act, "seconds": leases * LEASE}])
        wait_until(lambda: len(fleet.journal.times("start")) == len(ids), "it was not started")
    fleet.start(server.url, concurrency=2, lease=LEASE)

    wait_for_ends(fleet.journal, [*ids["hold"], *ids["nap"]], 20 * LEASE)
    wait_until(lambda: not remains(server.client), "something was left over")

    judge(*(row(act, server, fleet, ids[act]) for act in LEASES))


def row(act: str, server: Server, fleet: Fleet, ids: list[str]) -> Row:
    """What became of one of the two tasks."""
    return Row(
        SCENARIOS[act],
        f"one task of {LEASES[act]} x lease {LEASE:g} s, another worker idle",
        {
            "lost": lost(fleet.journal, ids),
            "extra starts": sum(fleet.journal.times("start")[i] - 1 for i in ids),
            "duplicate completions": sum(fleet.journal.times("end")[i] - 1 for i in ids),
            "crashes counted": crashes(server.client, ids),
        },
        {"lost": 0, "extra starts": 0, "duplicate completions": 0, "crashes counted": 0},
    )
