"""Replies get lost, and a worker is cut off at the worst moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from random import Random

import redis

from runqy_notebook.wire.layout import DOCUMENTED
from tests.chaos.fleet import Fleet, WorkerProcess
from tests.chaos.harness import crashes, enqueue, left_over, lost, naps, wait_for_ends
from tests.chaos.proxy import Proxy, Request
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

SEED = 5
TASKS, CUT = size(short=1_000, full=4_000), 0.02
LATE_TASKS, LATE, LATE_BY = size(short=300, full=4_000), 0.03, 1.6
LEASE = size(short=1.5, full=3.0)


def test_a_lost_reply_neither_loses_nor_repeats_a_task(
    server: Server, make_proxy: Callable[..., Proxy], fleet: Fleet, judge: Callable[..., None]
) -> None:
    ids = enqueue(server.url, naps(Random(SEED), TASKS, 0.01))
    proxy = make_proxy(server, seed=SEED)
    fleet.start(proxy.url, count=2, concurrency=4, lease=3.0)

    proxy.cut_share = CUT
    wait_for_ends(fleet.journal, ids, size(short=60, full=240))
    proxy.cut_share = 0.0

    judge(
        Row(
            "lost replies",
            f"{TASKS} tasks, {CUT:.0%} of replies cut after execution, seed {SEED}",
            {
                "lost": lost(fleet.journal, ids),
                "extra starts": fleet.journal.extra("start"),
                "crashes counted": crashes(server.client, ids),
                "left over": left_over(server.client),
                "cuts": proxy.cuts,
            },
            {"lost": 0, "extra starts": 0, "crashes counted": 0, "left over": 0},
        )
    )


def test_a_request_that_arrives_after_its_repetition_does_nothing(
    server: Server, make_proxy: Callable[..., Proxy], fleet: Fleet, judge: Callable[..., None]
) -> None:
    ids = enqueue(server.url, naps(Random(SEED), LATE_TASKS, 0.05))
    proxy, random, journal = make_proxy(server), Random(SEED), fleet.journal
    late: list[Request] = []

    def delay_some(request: Request) -> None:
        if request[0] == b"EVALSHA" and random.random() < LATE:
            late.append(request)
            time.sleep(LATE_BY)

    fleet.start(proxy.url, count=2, concurrency=4, lease=3.0)
    proxy.on_request = delay_some
    wait_for_ends(journal, ids, size(short=30, full=240))
    proxy.on_request = lambda request: None

    judge(
        Row(
            "late requests",
            f"{LATE_TASKS} tasks, {LATE:.0%} of requests arrive {LATE_BY:g} s late, after they "
            f"were given up and made again, seed {SEED}",
            {
                "lost": lost(journal, ids),
                "extra starts": journal.extra("start"),
                "crashes counted": crashes(server.client, ids),
                "left over": left_over(server.client),
                "late": len(late),
            },
            {"lost": 0, "extra starts": 0, "crashes counted": 0, "left over": 0},
        )
    )


def test_the_late_acknowledgement_of_a_worker_that_was_cut_off_is_fenced(
    server: Server, make_proxy: Callable[..., Proxy], fleet: Fleet, judge: Callable[..., None]
) -> None:
    proxy, journal = make_proxy(server), fleet.journal
    (cut_off,) = fleet.start(proxy.url, concurrency=1, lease=LEASE)
    is_held = threading.Event()

    def hold_at_the_acknowledgement(request: Request) -> None:
        if b"complete" in request and not is_held.is_set():
            proxy.hold()
            is_held.set()

    proxy.on_request = hold_at_the_acknowledgement
    writes = count_writes_of_results(server.client)
    (task_id,) = enqueue(server.url, [{"act": "nap", "seconds": 0.1}], store=True)
    wait_until(is_held.is_set, "no acknowledgement was sent")
    fleet.start(server.url, concurrency=1, lease=LEASE)
    time.sleep(3 * LEASE)
    wait_until(lambda: journal.times("end")[task_id] == 2, "it was not redelivered")
    proxy.heal()
    with suppress(AssertionError):  # the figures say it
        wait_until(lambda: is_fenced(cut_off), "it was not fenced")

    last_end = journal.of("end")[-1]
    result = server.client.get(DOCUMENTED.result(task_id))
    judge(
        Row(
            "black hole",
            f"a worker cut off for 3 x lease {LEASE:g} s at its acknowledgement",
            {
                "acknowledgements not fenced": int(not is_fenced(cut_off)),
                "results not written once": abs(writes() - 1),
                "results of the wrong worker": int(result == str(cut_off.pid).encode()),
                "left over": left_over(server.client),
                "starts": journal.times("start")[task_id],
                "redelivered after s": round(last_end.at - journal.first("end", task_id).at, 1),
            },
            {
                "acknowledgements not fenced": 0,
                "results not written once": 0,
                "results of the wrong worker": 0,
                "left over": 0,
                "starts": 2,
            },
        )
    )


def is_fenced(worker: WorkerProcess) -> bool:
    """Whether it was told that its task is another's."""
    return any("given to another worker" in text for text in worker.notices)


def count_writes_of_results(client: redis.Redis) -> Callable[[], int]:
    """Listens from now on; gives how often any result was written."""
    client.config_set("notify-keyspace-events", "K$")
    listener = client.pubsub()
    listener.psubscribe(f"__keyspace@0__:{DOCUMENTED.results}*")
    heard: list[object] = []

    def count() -> int:
        with listener:
            while message := listener.get_message(timeout=0.2):
                if message["type"] == "pmessage" and message["data"] == b"set":
                    heard.append(message)
        return len(heard)

    assert listener.get_message(timeout=5)
    return count
