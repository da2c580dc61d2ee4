"""Too much at once: slow senders, endless bodies, storms of webhooks. A valid one still gets in."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from socket import socket

import pytest

from runqy_notebook.echo.receipts import MOST, Receipt
from runqy_notebook.echo.webhooks import Webhooks
from tests.echo.senders import connected, head, post
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
SLOW = 500
MEGABYTE = 2**20


class Apart:
    """A receiver in another process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.url = self._line()

    def how(self) -> dict[str, int]:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        how: dict[str, int] = json.loads(self._line())
        return how

    def _line(self) -> str:
        assert self._process.stdout
        return self._process.stdout.readline().strip()


@pytest.fixture
def apart() -> Iterator[Apart]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.echo.apart"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:
        yield Apart(process)
        process.kill()


@contextmanager
def meanwhile(action: object) -> Iterator[None]:
    """Calls `action` over and over in a thread of its own."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.is_set():
            action()  # type: ignore[operator]

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_slow_senders_and_an_endless_body_keep_nobody_out(apart: Apart) -> None:
    for n in range(50):
        post(apart.url, {"n": n})
    before = apart.how()

    with ExitStack() as open_:
        slow = [open_.enter_context(connected(apart.url)) for _ in range(SLOW)]
        for connection in slow:
            connection.sendall(head(apart.url)[:-2])
        open_.enter_context(meanwhile(lambda: _drip(slow)))
        open_.enter_context(meanwhile(lambda: _pour(apart.url, 200 * MEGABYTE)))
        seconds = []
        for n in range(300):
            began = time.perf_counter()
            assert post(apart.url, {"n": n}).status == 204
            seconds.append(time.perf_counter() - began)
        during = apart.how()

    print(f"p99 {sorted(seconds)[297] * 1000:.0f} ms, {before} then {during}")
    assert max(seconds) < 10
    assert during["threads"] <= 40
    assert during["rss"] - before["rss"] <= 20 * MEGABYTE
    assert during["arrived"] == 350


def test_a_storm_is_counted_to_the_last_webhook(webhooks: Webhooks) -> None:
    """Whoever shows them is told of as many as it has the time for; the others are counted."""
    url = webhooks.start()
    told: list[str] = []
    is_slow = threading.Event()

    def show(receipt: Receipt) -> None:
        told.append(receipt.id)
        is_slow.wait(0.01)

    webhooks.listen(show)
    statuses: list[int] = []
    began = time.perf_counter()
    senders = [threading.Thread(target=lambda: _storm(url, 1_250, statuses)) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took = time.perf_counter() - began
    is_slow.set()

    def dropped() -> int:
        assert webhooks.status
        return webhooks.status.dropped

    wait_until(lambda: len(told) + dropped() == 5_000, "not all were accounted for")
    print(f"5,000 in {took:.1f} s, {len(told)} told, {dropped()} dropped")
    assert statuses == [204] * 5_000
    assert dropped() > 0
    assert webhooks.receipts.arrived == 5_000
    assert len(webhooks.receipts.newest()) == MOST
    assert sorted(told, key=lambda receipt_id: int(receipt_id[1:])) == told
    assert told[-1] == "w5000"


def _storm(url: str, count: int, statuses: list[int]) -> None:
    statuses.extend(post(url, {"n": n}).status for n in range(count))


def _drip(slow: list[socket]) -> None:
    """A byte more from each of them."""
    for connection in slow:
        with suppress(OSError):  # its time may be over
            connection.sendall(b"X")
    time.sleep(0.1)


def _pour(url: str, n_bytes: int) -> None:
    """Sends an endless body, as long as the other side takes it."""
    piece = b" " * MEGABYTE
    with connected(url) as connection, suppress(OSError):
        kind = "Content-Type: application/json"
        connection.sendall(head(url, kind, "Transfer-Encoding: chunked"))
        for _ in range(n_bytes // MEGABYTE):
            connection.sendall(b"100000\r\n" + piece + b"\r\n")
