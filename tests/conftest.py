"""What every test gets: a real server, a clean registry, and guards against leaving things."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
import redis as redis_py

from runqy_notebook import adopt, current
from runqy_notebook.session import Session
from runqy_notebook.tasks import REGISTRY
from tests.measured import measure_children
from tests.servers import RunningServer, running_server
from tests.waiting import wait_until

hypothesis.settings.register_profile(
    "runqy",
    deadline=None,  # the machines are shared and slow at times
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,  # a red CI must be about the change
)
hypothesis.settings.load_profile("runqy")

measure_children()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for the whole run; each test begins with it empty."""
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def redis(server: RunningServer) -> Iterator[redis_py.Redis]:
    """A plain client of the empty server, as an outsider would use it."""
    client = redis_py.Redis.from_url(server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def url(redis: redis_py.Redis, server: RunningServer) -> str:
    """The URL of the empty server."""
    return server.url


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    """A session of the empty server."""
    with Session(url) as opened:
        yield opened


@pytest.fixture
def make_session(url: str) -> Iterator[Callable[..., Session]]:
    """Sessions with settings of the test's choice, closed at its end."""
    opened: list[Session] = []

    def make(**settings: Any) -> Session:
        opened.append(Session(**{"url": url, **settings}))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


@pytest.fixture(autouse=True)
def _no_handlers_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for variable in ("RUNQY_REDIS_URL", "RUNQY_URL", "REDIS_URL", "REDIS_HOST", "REDIS_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    REGISTRY.clear()
    yield
    current.disconnect()
    adopt.give_back()
    REGISTRY.clear()


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """No thread of ours outlives its test."""
    before = set(threading.enumerate())
    yield

    def left() -> list[str]:
        return [
            t.name for t in threading.enumerate() if t not in before and t.name.startswith("runqy-")
        ]

    wait_until(lambda: not left(), f"threads were left: {left()}", 5)
