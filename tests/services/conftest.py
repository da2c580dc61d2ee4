"""Servers for the destinations: started by the first test that wants one, ended after the last."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runqy_notebook.deliver.places import IN_CODE
from tests.services import servers
from tests.services.mariadb import MariaDB


@pytest.fixture(scope="session")
def postgres() -> Iterator[servers.Postgres]:
    service = servers.started(servers.Postgres)
    yield service
    service.close()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    service = servers.started(MariaDB)
    yield service
    service.close()


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[servers.RabbitMQ]:
    service = servers.started(servers.RabbitMQ)
    yield service
    service.close()


@pytest.fixture(scope="session")
def s3() -> Iterator[servers.S3]:
    service = servers.started(servers.S3)
    yield service
    service.close()


@pytest.fixture(scope="session")
def gcs() -> Iterator[servers.GCS]:
    service = servers.started(servers.GCS)
    yield service
    service.close()


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the spool of this test lies."""
    monkeypatch.setenv("RUNQY_STATE_DIR", str(tmp_path / "state"))
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    IN_CODE.clear()
    return tmp_path / "state"


@pytest.fixture
def quick(make_session: Callable[..., Any]) -> Any:
    """A session that tries again soon, and keeps what it was told."""
    notices: list[str] = []
    session = make_session(
        deliver_schedule="0s" + " 300ms" * 90, deliver_deadline=3, on_notice=notices.append
    )
    session.notices = notices
    return session
