"""A TCP proxy between the lesson's worker and the server, which can lose one reply."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import Final

from runqy_notebook.broker.detour import Address

_CHUNK: Final = 65_536
_PATIENCE: Final = 5.0  # seconds for a new connection to the server


class Proxy:
    """Passes everything on, both ways, on one thread until `close`. Only this machine reaches it.

    Once `lose_reply` was called, the next thing that the server says is thrown away, and that
    connection closed: the server has done what it was asked, and whoever asked never learns of it.
    """

    def __init__(self, upstream: Address | str) -> None:
        self.n_lost = 0
        self._upstream = upstream
        self._loses_next = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: Address = ("127.0.0.1", self._listener.getsockname()[1])
        self._other: dict[socket.socket, socket.socket] = {}
        self._servers: set[socket.socket] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._bell, self._ringer = socket.socketpair()
        self._selector.register(self._bell, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._live, name="runqy-lesson-proxy", daemon=True)
        self._thread.start()

    def lose_reply(self) -> None:
        """Loses the next reply."""
        self._loses_next = True

    def spare_reply(self) -> None:
        """Takes that back."""
        self._loses_next = False

    def close(self) -> None:
        """Ends all connections and the thread."""
        with contextlib.suppress(OSError):
            self._ringer.send(b"!")
        self._thread.join(2.0)

    # --- inside ---------------------------------------------------------------------------------

    def _live(self) -> None:
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._bell:
                        return
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.fileobj in self._other:  # not closed by the one before it
                        self._pass_on(key.fileobj)
        finally:
            for one in list(self._other):
                one.close()
            self._selector.close()
            for one in (self._listener, self._bell, self._ringer):
                one.close()

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            server = self._connect()
        except OSError:
            client.close()  # which the worker takes as the server's absence
            return
        self._other |= {client: server, server: client}
        self._servers.add(server)
        for one in (client, server):
            self._selector.register(one, selectors.EVENT_READ)

    def _connect(self) -> socket.socket:
        if isinstance(self._upstream, str):
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            made.settimeout(_PATIENCE)
            made.connect(self._upstream)
        else:
            made = socket.create_connection(self._upstream, _PATIENCE)
        made.settimeout(_PATIENCE)
        return made

    def _pass_on(self, source: socket.socket) -> None:
        try:
            data = source.recv(_CHUNK)
            if data and source in self._servers and self._loses_next:
                self._loses_next = False
                self.n_lost += 1
                data = b""
            if data:
                self._other[source].sendall(data)
                return
        except OSError:
            pass
        self._end(source)

    def _end(self, source: socket.socket) -> None:
        for one in (source, self._other.get(source)):
            if one is not None and one in self._other:
                self._selector.unregister(one)
                del self._other[one]
                self._servers.discard(one)
                one.close()
