"""What tests of the broker get beside the server."""

from __future__ import annotations

import pytest
import redis as redis_py

from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.doctor import Doctor
from tests.broking import broker_of


@pytest.fixture
def broker(redis: redis_py.Redis) -> Broker:
    """The write side of the empty server; it keeps finished tasks for a long time."""
    return broker_of(redis)


@pytest.fixture
def doctor(redis: redis_py.Redis) -> Doctor:
    """Examines the empty server."""
    return Doctor(redis, "the test server")
