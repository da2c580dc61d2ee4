"""What tests of the broker get beside the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.doctor import Doctor
from runqy_notebook.broker.waiter import Waiter
from tests.broking import broker_of


@pytest.fixture
def broker(redis: redis_py.Redis) -> Broker:
    """The write side of the empty server; it keeps finished tasks for a long time."""
    return broker_of(redis)


@pytest.fixture
def doctor(redis: redis_py.Redis) -> Doctor:
    """Examines the empty server."""
    return Doctor(redis, "the test server")


@pytest.fixture
def waiter(redis: redis_py.Redis, url: str) -> Iterator[Waiter]:
    """Waits for tasks on connections of its own."""
    client = redis_py.Redis.from_url(url)
    made = Waiter(client, "the test server")
    yield made
    made.close()
    client.close()
