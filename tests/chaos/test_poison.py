"""Tasks that kill whatever process runs them, among tasks that do not."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from tests.chaos.fleet import Fleet
from tests.chaos.harness import enqueue, fields, left_over, lost, naps, wait_for_ends
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

SEED = 13
TASKS, KILLERS = size(short=200, full=1_000), 10
LEASE = size(short=1.5, full=3.0)
ENDS_WITHIN = size(short=60, full=400)
WHY = b"killed its worker 3 times"
LIMIT = 3


def test_tasks_that_kill_their_worker_are_archived_and_take_no_other_along(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    random = Random(SEED)
    payloads = naps(random, TASKS, 0.05)
    places = random.sample(range(TASKS), KILLERS)
    for place in places:
        payloads[place] = {"act": "die"}
    ids = enqueue(server.url, payloads)
    killers = {ids[place] for place in places}
    innocents = set(ids) - killers

    began = time.monotonic()
    for _ in range(2):
        fleet.launch(server.url, concurrency=4, lease=LEASE)
    deaths = revive_until_done(server, fleet, ids)

    journal = fleet.journal
    states, errors = (fields(server.client, ids, name) for name in ("state", "error_msg"))
    starts = journal.times("start")
    judge(
        Row(
            "poison",
            f"{KILLERS} tasks calling os._exit among {TASKS}, 2 workers x 4, seed {SEED}",
            {
                "killers not archived so": sum(errors[k] != WHY for k in killers),
                "starts of killers beyond 3": sum(max(0, starts[k] - LIMIT) for k in killers),
                "starts of killers short of 3": sum(max(0, LIMIT - starts[k]) for k in killers),
                "innocents archived": sum(states[i] == b"archived" for i in innocents),
                "innocents lost": len(innocents - journal.times("end").keys()),
                "left over": left_over(server.client),
                "extra starts of innocents": sum(starts[i] - 1 for i in innocents),
                "deaths of workers": deaths,
                "seconds": round(time.monotonic() - began, 1),
            },
            {
                "killers not archived so": 0,
                "starts of killers beyond 3": 0,
                # A neighbour killed the kernel between our mark and its own first instruction.
                "starts of killers short of 3": 1,
                "innocents archived": 0,
                "innocents lost": 0,
                "left over": 0,
            },
        )
    )


def test_a_task_that_runs_apart_ends_with_the_worker_that_is_killed(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    (first,) = fleet.start(server.url, concurrency=1, lease=LEASE)
    ids = enqueue(server.url, [{"act": "nap", "seconds": 2}])
    wait_until(lambda: fleet.journal.times("start")[ids[0]] == 1, "it was not started")
    (second,) = fleet.start(server.url, concurrency=1, lease=LEASE)
    first.kill()
    wait_until(lambda: fleet.journal.times("start")[ids[0]] == 2, "it was not redelivered")
    fleet.start(server.url, concurrency=1, lease=LEASE)

    second.kill()
    wait_for_ends(fleet.journal, ids, 15)
    left = left_over(server.client)

    judge(
        Row(
            "killed while it runs apart",
            "kill -9 of a worker, then of the next one, which runs its task in a child",
            {
                "lost": lost(fleet.journal, ids),
                "runs at the same time": fleet.journal.overlaps,
                "duplicate completions": fleet.journal.extra("end"),
                "left over": left,
            },
            {"lost": 0, "runs at the same time": 0, "duplicate completions": 0, "left over": 0},
        )
    )


def revive_until_done(server: Server, fleet: Fleet, ids: list[str]) -> int:
    """Replaces workers that die, until all tasks are finished or the time is over; the deaths."""
    deaths = 0
    gives_up_at = time.monotonic() + ENDS_WITHIN
    while time.monotonic() < gives_up_at:
        deaths += fleet.revive()
        states = fields(server.client, ids, "state").values()
        if set(states) <= {b"completed", b"archived"}:
            break
        time.sleep(0.1)
    return deaths
