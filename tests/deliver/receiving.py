"""A receiver of webhooks for tests: a real server that answers as it is told."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import h11

Script = Callable[[socket.socket], None]
"""What a test does with a connection after the request was read, in place of an answer."""


@dataclass
class Received:
    """One request, and when it was complete (monotonic and unix seconds)."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    unix: float = field(default_factory=time.time)


class Receiver:
    """Listens on a port of its own while its `with` block lasts, and answers 204."""

    def __init__(
        self, host: str = "127.0.0.1", *, port: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self._tls = tls
        self.requests: list[Received] = []
        self.connections = 0
        self._status, self._headers, self._body = 204, dict[str, str](), b""
        self._script: Script | None = None
        self._host = host
        self._socket = socket.create_server((host, port), backlog=256)
        self.port: int = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()

    @property
    def url(self) -> str:
        return f"http://{self._host}:{self.port}/hook"

    def answers(
        self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> None:
        self._status, self._headers, self._body = status, dict(headers or {}), body
        self._script = None

    def does(self, script: Script) -> None:
        self._script = script

    def __enter__(self) -> Receiver:
        thread = threading.Thread(target=self._serve, name="receiver", daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        self._socket.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            while not self._stopping.is_set():
                if not selector.select(0.05):
                    continue
                try:
                    channel, _ = self._socket.accept()
                except OSError:
                    continue
                self.connections += 1
                thread = threading.Thread(target=self._take, args=(channel,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _take(self, channel: socket.socket) -> None:
        with contextlib.suppress(OSError, h11.ProtocolError), channel:
            channel.settimeout(5)
            if self._tls:
                with self._tls.wrap_socket(channel, server_side=True) as secured:
                    self._talk(secured)
            else:
                self._talk(channel)

    def _talk(self, channel: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER)
        body, request = b"", None
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(channel.recv(65_536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return
        assert request is not None
        headers = {name.decode(): text.decode() for name, text in request.headers}
        script, answer = self._script, self._answer()  # whoever sees the request may change them
        self.requests.append(
            Received(request.method.decode(), request.target.decode(), headers, body)
        )
        if script:
            script(channel)
        else:
            channel.sendall(answer)

    def _answer(self) -> bytes:
        lines = {"Content-Length": str(len(self._body)), **self._headers}
        if self._status == 204:
            lines.pop("Content-Length")
        head = "".join(f"{name}: {text}\r\n" for name, text in lines.items())
        return f"HTTP/1.1 {self._status} x\r\n{head}\r\n".encode() + self._body
