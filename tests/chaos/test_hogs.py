"""Handlers that take far longer than a lease, with or without letting others run."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.harness import crashes, enqueue, left_over, lost, wait_for_ends
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

LEASE = size(short=1.5, full=15.0)


@pytest.mark.parametrize(("act", "leases"), [("hold", 6), ("nap", 10)])
def test_a_long_handler_runs_once_beside_an_idle_worker(
    act: str,
    leases: int,
    server: Server,
    fleet: Fleet,
    judge: Callable[[Row], None],
    request: pytest.FixtureRequest,
) -> None:
    (busy,) = fleet.start(server.url, concurrency=2, lease=LEASE)
    if act == "hold" and busy.guardian is None:
        reason = "only a guardian can renew for a kernel whose GIL is held"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=False))
    ids = enqueue(server.url, [{"act": act, "seconds": leases * LEASE}])
    wait_until(lambda: fleet.journal.times("start"), "it was not started")
    fleet.start(server.url, concurrency=2, lease=LEASE)

    wait_for_ends(fleet.journal, ids, 2 * leases * LEASE)

    judge(
        Row(
            "GIL held" if act == "hold" else "long and polite",
            f"one task of {leases} x lease {LEASE:g} s, another worker idle",
            {
                "lost": lost(fleet.journal, ids),
                "extra starts": fleet.journal.extra("start"),
                "duplicate completions": fleet.journal.extra("end"),
                "crashes counted": crashes(server.client, ids),
                "left over": left_over(server.client),
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
