"""The receiver: an HTTP server on 127.0.0.1, in a thread of its own with a loop of its own."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from tornado.netutil import bind_sockets

from runqy_notebook.echo.app import Desk, make_app
from runqy_notebook.echo.connections import Connections, LimitedServer
from runqy_notebook.echo.limits import MAX_CONNECTIONS
from runqy_notebook.errors import UsageError, one_line

HOST = "127.0.0.1"

_PATIENCE = 5.0  # seconds that its thread may take to start or to end


class Receiver:
    """Takes webhooks for a desk from `start` to `stop`; after that it is of no use any more."""

    def __init__(
        self, desk: Desk, make_connections: Callable[[], Connections] = Connections
    ) -> None:
        self.desk = desk
        self._make_connections = make_connections
        self.port = 0
        self._loop = asyncio.SelectorEventLoop()  # Windows' other kind cannot watch for readers
        self._stopping = asyncio.Event()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where senders post to; whoever knows it may send."""
        return f"http://{HOST}:{self.port}/{self.desk.token}"

    def start(self) -> None:
        """Returns once it listens; raises UsageError where the system does not let it."""
        try:
            sockets = bind_sockets(0, HOST, family=socket.AF_INET, backlog=MAX_CONNECTIONS)
        except OSError as error:
            self._loop.close()
            raise UsageError(
                f"No port of {HOST} is to be had for webhooks: {one_line(error)}."
            ) from None
        self.port = sockets[0].getsockname()[1]
        self._thread = threading.Thread(
            target=self._run, args=(sockets,), name="runqy-echo", daemon=True
        )
        self._thread.start()  # clients that come before it serves wait in the listening socket

    def stop(self) -> None:
        """Closes its socket and all connections, and ends the thread."""
        with suppress(RuntimeError):  # it ended by itself
            self._loop.call_soon_threadsafe(self._stopping.set)
        # Ctrl-C within Thread.join marks a live thread as dead (CPython <= 3.12), so wait first.
        if self._ended.wait(_PATIENCE) and self._thread is not None:
            self._thread.join()

    def _run(self, sockets: list[socket.socket]) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve(sockets))
        finally:
            asyncio.set_event_loop(None)
            self._loop.close()
            self._ended.set()

    async def _serve(self, sockets: list[socket.socket]) -> None:
        connections = self._make_connections()
        server = LimitedServer(make_app(self.desk, self.port, connections), connections)
        server.add_sockets(sockets)
        await self._stopping.wait()
        server.stop()
        connections.end()
        await server.close_all_connections()
