"""Receivers for tests, stopped at their end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from runqy_notebook.echo.webhooks import Webhooks


@pytest.fixture
def notices() -> list[str]:
    """What a session would have told the person."""
    return []


@pytest.fixture
def webhooks(notices: list[str]) -> Iterator[Webhooks]:
    """The webhooks of a session; nothing runs yet."""
    webhooks = Webhooks(notices.append)
    yield webhooks
    webhooks.stop()


@pytest.fixture
def url(webhooks: Webhooks) -> str:
    """Where a receiver takes webhooks, signed or not."""
    return webhooks.start()
