"""Which server a session talks to."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import redis

from runqy_notebook.broker import embedded
from runqy_notebook.broker.address import Masked, masked
from runqy_notebook.broker.connect import open_client
from runqy_notebook.errors import ConnectionFailedError, EmbeddedServerError
from runqy_notebook.settings import Settings

USUAL = "redis://localhost:6379/0"
"""What is tried where nothing is set."""

_USUAL_TIMEOUT = 1.0  # seconds that a newcomer without Redis waits for the embedded server


@dataclass(frozen=True, slots=True)
class Server:
    """An open connection: `title` is what a person is told, `where` the masked URL."""

    client: redis.Redis
    title: str
    where: str
    # None for the fallback inside this process; holds the password, so it is never shown.
    url: str | None = field(repr=False)
    state_dir: Path | None = None  # of the embedded server


def open_server(settings: Settings) -> Server:
    """The server that the settings name; without a name the usual local one if it answers, else
    the embedded one. Raises ConnectionFailedError, SettingsError, EmbeddedServerError.
    """
    if settings.embedded:
        return _embedded(settings)
    if settings.url is not None:
        return _server(settings.url)
    try:
        return _server(USUAL, timeout=_USUAL_TIMEOUT)
    except ConnectionFailedError as error:
        refused = "refused" in error.cause
        return _embedded(settings, "" if refused else f" ({USUAL} was passed over: {error.cause})")


def _server(url: str, timeout: float = 5.0) -> Server:
    where = masked(url)
    return Server(open_client(url, timeout=timeout), where, where, url)


def _embedded(settings: Settings, note: str = "") -> Server:
    try:
        folder = Path(settings.state_dir).expanduser() if settings.state_dir else None
        found = embedded.ensure(folder, ttl=settings.embedded_ttl)
    except EmbeddedServerError:
        if embedded.find_binary() is not None:
            raise
        title = f"in-process fakeredis: this kernel only, not saved{note}"
        return Server(embedded.fake_client(), title, "in-process fakeredis", None)
    title = f"embedded {found.family} {found.version}{note}"
    where = Masked("the embedded server", [unquote(urlsplit(found.url).password or "")])
    return Server(
        open_client(found.url), title, where, found.url, folder or embedded.default_state_dir()
    )
