"""A TCP proxy between workers and the server that loses replies, swallows packets, and counts."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import NamedTuple

Request = list[bytes]


class Refusal(NamedTuple):
    """Something that a worker tried in vain, at a monotonic time."""

    at: float
    why: str  # the error's code, or CLOSED


class Proxy:
    """Forwards both ways on threads of its own, until `close`."""

    def __init__(self, upstream: int, *, seed: int = 0) -> None:
        self.cut_share = 0.0  # of the replies: each is lost with its connection
        self.on_request: Callable[[Request], None] = lambda request: None
        self.refusals: list[Refusal] = []
        self.requests: Counter[str] = Counter()  # by command
        self.cuts = 0
        self._upstream = upstream
        self._random = Random(seed)
        self._flowing = threading.Event()
        self._flowing.set()
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._run(self._accept)

    def hold(self) -> None:
        """From now on nothing gets through; what is sent waits, as packets do that are sent
        again and again.
        """
        self._flowing.clear()

    def heal(self) -> None:
        """What was held back arrives, also what was sent by connections given up meanwhile."""
        self._flowing.set()

    def close(self) -> None:
        """Ends all connections."""
        self._flowing.set()
        with self._lock:
            self._is_closed = True
            ending = [self._listener, *self._sockets]
        for one in ending:
            _end(one)
        for thread in self._threads:
            thread.join()
        for one in ending:
            one.close()

    def _run(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, name="chaos-proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._upstream), timeout=5)
            except OSError:
                self.refusals.append(Refusal(time.monotonic(), "CLOSED"))
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                if self._is_closed:  # too late for `close` to see them
                    client.close()
                    server.close()
                    return
                self._sockets |= {client, server}
            self._run(self._ask, client, server)
            self._run(self._answer, client, server)

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        reader = RequestReader()

        def passed(data: bytes) -> bytes:
            for request in reader.feed(data):
                self.requests[request[0].decode().upper()] += 1
                self.on_request(request)
            return data

        self._pump(client, server, passed)

    def _answer(self, client: socket.socket, server: socket.socket) -> None:
        def passed(data: bytes) -> bytes:
            if data.startswith(b"-"):
                code = data[1:].split(maxsplit=1)[0].decode()
                self.refusals.append(Refusal(time.monotonic(), code))
            with self._lock:
                is_cut = self._random.random() < self.cut_share
                self.cuts += is_cut
            return b"" if is_cut else data

        self._pump(server, client, passed)

    def _pump(
        self, source: socket.socket, target: socket.socket, passed: Callable[[bytes], bytes]
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                data = passed(data)
                self._flowing.wait()
                if not data:
                    break
                target.sendall(data)
        self._flowing.wait()
        _end(source)
        _end(target)


class RequestReader:
    """Cuts a stream of RESP requests into their parts."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[Request]:
        """The requests that are complete now."""
        self._buffer += data
        found = []
        while (request := self._next()) is not None:
            found.append(request)
        return found

    def _next(self) -> Request | None:
        head, mark, rest = self._buffer.partition(b"\r\n")
        parts: Request = []
        while mark and len(parts) < int(head[1:]):
            size, mark, rest = rest.partition(b"\r\n")
            end = int(size[1:] or 0)
            if not mark or len(rest) < end + 2:
                return None
            parts.append(rest[:end])
            rest = rest[end + 2 :]
        if not mark:
            return None
        self._buffer = rest
        return parts


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
