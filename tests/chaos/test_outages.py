"""The server is there but refuses: workers ask seldom, say it once, and go on at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.chaos.fleet import Fleet
from tests.chaos.harness import enqueue, left_over, lost, wait_for_ends
from tests.chaos.proxy import Proxy
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import DURABLE, Server
from tests.servers import answers, free_port
from tests.waiting import wait_until

LASTS = size(short=2.5, full=10.0)
LEASE = 3.0
MOST_A_SECOND = size(short=6.0, full=5.0)
"""Attempts: slots every 0.4 s, keeper and guardian every second; and what each asks first, which
is spread over the seconds that an outage lasts. Slots that did not share theirs made twelve.
"""


@contextmanager
def read_only(server: Server) -> Iterator[None]:
    """It became the replica of a server that does not exist."""
    server.client.replicaof("127.0.0.1", free_port())
    yield
    server.client.replicaof("NO", "ONE")


@contextmanager
def scripts_forgotten(server: Server) -> Iterator[None]:
    """It knows no script any more, again and again."""
    server.client.script_flush()
    yield
    server.client.script_flush()


@contextmanager
def password_changed(server: Server) -> Iterator[None]:
    """It wants a password that nobody was told."""
    server.client.config_set("requirepass", "another")
    server.client.client_kill_filter(_type="normal", skipme=True)
    yield
    server.client.config_set("requirepass", "")


@contextmanager
def loading(server: Server) -> Iterator[None]:
    """It was killed and takes its time to read what it has saved."""
    pipeline = server.client.pipeline(transaction=False)
    for number in range(20_000):
        pipeline.set(f"chaos:{number}", number)
    pipeline.execute()
    server.kill()
    server.start("--key-load-delay", str(int(LASTS * 1e6 / 20_000)))
    yield
    wait_until(lambda: answers(server.client), "it did not come back", LASTS * 4)


@pytest.mark.parametrize(
    ("name", "code", "lasts", "outage"),
    [
        ("read-only", "READONLY", 10.0, read_only),  # all chores have their turn in 10 s
        ("scripts flushed", "NOSCRIPT", LASTS, scripts_forgotten),
        ("password changed", "NOAUTH", size(short=5.0, full=10.0), password_changed),
        ("loading", "LOADING", LASTS, loading),
    ],
)
def test_a_refusing_server_is_asked_seldom_and_served_again_at_once(
    name: str,
    code: str,
    lasts: float,
    outage: Callable[[Server], AbstractContextManager[None]],
    make_server: Callable[..., Server],
    make_proxy: Callable[..., Proxy],
    fleet: Fleet,
    judge: Callable[..., None],
) -> None:
    server = make_server(*DURABLE)
    proxy = make_proxy(server)
    (worker,) = fleet.start(proxy.url, concurrency=4, lease=LEASE)
    first = enqueue(server.url, [{"act": "nap", "seconds": 0.1}] * 4)
    wait_for_ends(fleet.journal, first, 10)
    time.sleep(1)  # until it is idle in all respects

    began, refused_before = time.monotonic(), len(proxy.refusals)
    with outage(server):
        time.sleep(lasts)
    well_at = time.monotonic()
    tried = [one for one in proxy.refusals[refused_before:] if one.at <= well_at]
    ids = enqueue(server.url, [{"act": "nap"}] * 4)
    wait_for_ends(fleet.journal, ids, 10)

    left = left_over(server.client)
    notices = worker.notices
    assert code in {one.why for one in tried}, "nothing was refused so"
    judge(
        Row(
            name,
            f"{code} for {well_at - began:.0f} s, one worker x 4, lease {LEASE:g} s",
            {
                "attempts a second": round(len(tried) / (well_at - began), 1),
                "notices": sum("answers again" not in text for text in notices),
                "lines beyond notices": worker.log.read_text().count("\n") - len(notices),
                "resumed after s": round(fleet.journal.first("start", ids[0]).at - well_at, 2),
                "lost": lost(fleet.journal, ids),
                "left over": left,
            },
            {
                "attempts a second": MOST_A_SECOND,
                "notices": 1,
                "lines beyond notices": 0,
                "resumed after s": 2,
                "lost": 0,
                "left over": 0,
            },
        )
    )
