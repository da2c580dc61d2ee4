"""A server and worker processes for each scenario, a deadline, and the table at the end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.chaos.fleet import ROOT, Fleet
from tests.chaos.proxy import Proxy
from tests.chaos.report import Row, table
from tests.chaos.scale import size
from tests.chaos.servers import Server

collect_ignore_glob = [] if sys.platform == "linux" else ["test_*.py"]  # they read /proc

DEADLINE = size(short=300, full=900)
"""Seconds after which a scenario is given up, wherever it hangs."""

ROWS: list[Row] = []


@pytest.fixture(autouse=True)
def _deadline() -> Iterator[None]:
    def give_up(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the scenario did not end within {DEADLINE} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(DEADLINE)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers with options of the scenario's choice, ended with it."""
    made: list[Server] = []

    def make(*options: str) -> Server:
        made.append(Server(tmp_path / f"server-{len(made)}", *options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A server that saves nothing."""
    return make_server()


@pytest.fixture
def make_proxy() -> Iterator[Callable[..., Proxy]]:
    """Proxies in front of a server, ended with the scenario."""
    made: list[Proxy] = []

    def make(server: Server, **options: Any) -> Proxy:
        made.append(Proxy(server.port, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Worker processes, ended with the scenario."""
    started = Fleet(tmp_path)
    yield started
    started.close()


@pytest.fixture
def judge(fleet: Fleet) -> Callable[..., None]:
    """Puts rows into the table, and fails where a figure is beyond its bound, or where a worker
    came upon an error of its own.
    """

    def judged(*rows: Row) -> None:
        ROWS.extend(rows)
        assert not fleet.faults
        broken = [told for row in rows for told in row.broken]
        assert not broken, "; ".join(broken)

    return judged


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not ROWS:
        return
    terminalreporter.section("chaos", sep="=")
    terminalreporter.write_line(table(ROWS))
    out = ROOT / "out"
    out.mkdir(exist_ok=True)
    (out / "chaos.md").write_text(table(ROWS) + "\n", encoding="utf-8")
