"""The server's memory is full, and it evicts nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

from runqy_notebook.errors import ConnectionFailedError
from runqy_notebook.session import Session
from tests.chaos.fleet import Fleet
from tests.chaos.handlers import QUEUE
from tests.chaos.harness import KEYS, enqueue, left_over, lost, naps, wait_for_ends
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

SEED = 19
TASKS = size(short=1_000, full=3_000)
ATTEMPTS = 20


def test_with_memory_full_producers_are_told_and_the_workers_drain_the_queue(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    fleet.start(server.url, concurrency=4, lease=3.0)
    server.client.set(KEYS.paused, 1)
    ids = enqueue(server.url, naps(Random(SEED), TASKS, 0.005))
    fill_memory(server)

    told = refusals(server.url)
    began = time.monotonic()
    server.client.delete(KEYS.paused)
    wait_for_ends(fleet.journal, ids, size(short=40, full=120))

    clear = [text for text in told if "memory" in text.lower() and "\n" not in text]
    judge(
        Row(
            "memory full",
            f"{TASKS} pending, maxmemory reached, noeviction, {ATTEMPTS} more enqueued, "
            f"seed {SEED}",
            {
                "not drained": lost(fleet.journal, ids),
                "extra starts": fleet.journal.extra("start"),
                "left over": left_over(server.client),
                "producers not told": ATTEMPTS - len(clear),
                "different errors beyond one": len(set(told)) - 1,
                "seconds": round(time.monotonic() - began, 1),
            },
            {
                "not drained": 0,
                "extra starts": 0,
                "left over": 0,
                "producers not told": 0,
                "different errors beyond one": 0,
            },
        )
    )


def test_a_worker_can_be_started_while_memory_is_full(
    server: Server, fleet: Fleet, judge: Callable[..., None]
) -> None:
    ids = enqueue(server.url, naps(Random(SEED), 50, 0.005))
    fill_memory(server)

    worker = fleet.launch(server.url, concurrency=4, lease=3.0)
    wait_until(lambda: worker.is_ready or worker.is_dead, "it neither serves nor says why not")
    if worker.is_ready:
        wait_for_ends(fleet.journal, ids, 10)

    judge(
        Row(
            "memory full, new worker",
            f"{len(ids)} pending, maxmemory reached, noeviction, then a worker is started",
            {
                "workers not started": int(worker.is_dead),
                "not drained": lost(fleet.journal, ids),
            },
            {"workers not started": 0, "not drained": 0},
        )
    )


def fill_memory(server: Server) -> None:
    """Has the server refuse whatever needs memory."""
    used = server.client.info("memory")["used_memory"]
    server.client.config_set("maxmemory-policy", "noeviction")
    server.client.config_set("maxmemory", used // 2)


def refusals(url: str) -> list[str]:
    """What a producer is told, each time it tries."""
    told = []
    with Session(url) as session:
        for _ in range(ATTEMPTS):
            try:
                session.enqueue(QUEUE, {"act": "nap"})
            except ConnectionFailedError as error:
                told.append(str(error))
    return told
