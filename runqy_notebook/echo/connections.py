"""The open connections of a receiver: how many, for how long, and how much they may hold."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream

from runqy_notebook.echo.limits import (
    MAX_BODIES,
    MAX_BODY,
    MAX_HEADER,
    REQUEST_SECONDS,
    most_connections,
)

_BETWEEN_SWEEPS = 0.5  # seconds


@dataclass(slots=True)
class _Open:
    since: float  # by the loop's clock
    held: int = 0  # bytes of its body


class Connections:
    """Every open connection, the oldest first; belongs to one event loop.

    Each carries one request and is closed once that is answered, so an old one is one whose request
    is still unfinished: where there are too many, or too many bytes, the oldest goes.
    """

    def __init__(
        self,
        most: int | None = None,
        seconds: float = REQUEST_SECONDS,
        most_bytes: int = MAX_BODIES,
    ) -> None:
        self._most = most_connections() if most is None else most
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._open: dict[IOStream, _Open] = {}
        self._held = 0
        self._loop = asyncio.get_running_loop()
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._open)

    def add(self, stream: IOStream) -> None:
        while len(self._open) >= self._most:
            self._close(next(iter(self._open)))
        self._open[stream] = _Open(self._loop.time())
        if self._sweep is None:
            self._sweep = self._loop.call_later(_BETWEEN_SWEEPS, self._close_overdue)

    def hold(self, stream: IOStream, n_bytes: int) -> None:
        """The connection keeps so many bytes more; others that keep some are closed for it."""
        if stream not in self._open:
            return
        self._open[stream].held += n_bytes
        self._held += n_bytes
        while self._held > self._most_bytes:
            self._close(next(one for one, found in self._open.items() if found.held))

    def forget(self, stream: IOStream) -> None:
        """It is closed, or has nothing to do with us any more."""
        found = self._open.pop(stream, None)
        self._held -= found.held if found else 0

    def end(self) -> None:
        """Closes them all."""
        if self._sweep is not None:
            self._sweep.cancel()
        for stream in list(self._open):
            self._close(stream)

    def _close(self, stream: IOStream) -> None:
        self.forget(stream)
        stream.close()

    def _close_overdue(self) -> None:
        overdue = self._loop.time() - self._seconds
        for stream in [one for one, found in self._open.items() if found.since <= overdue]:
            self._close(stream)
        self._sweep = None
        if self._open:
            self._sweep = self._loop.call_later(_BETWEEN_SWEEPS, self._close_overdue)


class LimitedServer(HTTPServer):
    """A tornado server of one request a connection, which its `connections` may close."""

    def initialize(self, app: Any, connections: Connections) -> None:  # type: ignore[override]
        super().initialize(
            app,
            no_keep_alive=True,
            max_header_size=MAX_HEADER,
            max_body_size=MAX_BODY,
            idle_connection_timeout=REQUEST_SECONDS,
            body_timeout=REQUEST_SECONDS,
        )
        self._table = connections

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        self._table.add(stream)
        super().handle_stream(stream, address)

    def on_close(self, server_conn: Any) -> None:
        self._table.forget(server_conn.stream)
        super().on_close(server_conn)
