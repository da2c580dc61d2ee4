"""A worker leaves nothing behind in its process, however often it comes and goes."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest

from runqy_notebook import task
from runqy_notebook.session import Session
from tests.chaos.fleet import Fleet, children
from tests.chaos.handlers import QUEUE, act
from tests.chaos.journal import VARIABLE
from tests.chaos.report import Row
from tests.chaos.scale import size
from tests.chaos.servers import Server
from tests.waiting import wait_until

CYCLES = size(short=20, full=50)


class Holdings(NamedTuple):
    """What a process has open."""

    threads: int
    descriptors: int
    sockets: int
    children: int


def holdings() -> Holdings:
    """What this process has open now."""
    gc.collect()
    open_ones = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            open_ones.append(os.readlink(entry))
        except OSError:  # the descriptor of this very look
            continue
    return Holdings(
        threading.active_count(),
        len(open_ones),
        sum(one.startswith("socket:") for one in open_ones),
        len(children(os.getpid())),
    )


def test_a_worker_that_comes_and_goes_leaves_nothing_in_the_process(
    server: Server,
    fleet: Fleet,
    judge: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(VARIABLE, str(fleet.journal.path))
    task(queue=QUEUE)(act)  # each test begins with no handler
    with Session(server.url) as session:
        cycle(session)
        server.client.ping()
        before = holdings()

        for _ in range(CYCLES):
            cycle(session)
        with suppress(AssertionError):  # the figures say it
            wait_until(lambda: holdings() == before, "", 3)
        after = holdings()

    more = {name: after[i] - before[i] for i, name in enumerate(Holdings._fields)}
    judge(
        Row(
            "comings and goings",
            f"a worker started and stopped {CYCLES} times in one process, a task each",
            more,
            dict.fromkeys(more, 0),
        )
    )


def cycle(session: Session) -> None:
    """One worker's life: it runs one task."""
    session.start_worker(QUEUE, concurrency=4)
    session.enqueue(QUEUE, {"act": "nap"}).result(10)
    session.stop_worker()
