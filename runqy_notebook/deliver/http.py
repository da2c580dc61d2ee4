"""One POST, on a connection of its own, within one deadline for everything.

Written on h11, which knows HTTP/1.1 and leaves the socket to us: so a slow answer, byte by byte,
ends at the deadline too, and neither a proxy of the environment nor a redirect has a say.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

import h11
from h11 import ProtocolError as ProtocolError

from runqy_notebook.deliver.guard import Destination

MOST_READ: Final = 65_536
"""Bytes of an answer that are read, its head included."""

_LONGEST_HEAD = 16_384
_AT_ONCE = 16_384


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said: `headers` with names in lower case, `body` as far as it was read.

    Its parts are a stranger's text.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


def post(
    to: Destination,
    addresses: Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    ends: float,
) -> Answer:
    """Sends `body` to the first of the addresses that takes the connection, and gives the answer.

    `ends` is the deadline, on the monotonic clock. Raises OSError (TimeoutError at the deadline,
    ssl.SSLError), or ProtocolError where what comes is not HTTP.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
    ours = {"Host": to.authority, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [*ours.items(), *headers.items()]
    request = h11.Request(method="POST", target=to.target, headers=lines)
    with _connected(to, addresses, ends) as channel:
        sent = [connection.send(event) for event in (request, h11.Data(body), h11.EndOfMessage())]
        # A server that has heard enough may have answered before it hung up.
        with contextlib.suppress(ConnectionError):
            _send(channel, b"".join(each or b"" for each in sent), ends)
        return _Reading(channel, connection, ends).answer()


def _connected(to: Destination, addresses: Sequence[str], ends: float) -> socket.socket:
    problem: OSError = TimeoutError()
    for i, address in enumerate(addresses):
        try:
            # Each address gets its share of the time that is left.
            channel = socket.create_connection(
                (address, to.port), timeout=_left(ends) / (len(addresses) - i)
            )
        except OSError as error:
            problem = error
            continue
        try:
            channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if to.scheme == "http":
                return channel
            channel.settimeout(_left(ends))
            return _tls().wrap_socket(channel, server_hostname=to.host)
        except BaseException:
            channel.close()
            raise
    raise problem


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _send(channel: socket.socket, message: bytes, ends: float) -> None:
    view = memoryview(message)
    while view:
        channel.settimeout(_left(ends))
        view = view[channel.send(view[:_AT_ONCE]) :]


class _Reading:
    """The way from bytes to an answer."""

    def __init__(self, channel: socket.socket, connection: h11.Connection, ends: float) -> None:
        self._channel, self._connection, self._ends = channel, connection, ends
        self._read = 0

    def answer(self) -> Answer:
        head = self._event()
        while isinstance(head, h11.InformationalResponse):
            head = self._event()
        if not isinstance(head, h11.Response):
            raise h11.RemoteProtocolError("the connection ended without an answer")
        headers = {name.decode("latin-1"): text.decode("latin-1") for name, text in head.headers}
        return Answer(head.status_code, headers, self._body())

    def _body(self) -> bytes:
        """What comes of the body; nothing that happens here matters, for the status decides."""
        body = b""
        try:
            while isinstance(event := self._event(), h11.Data):
                body += event.data
        except (OSError, ProtocolError):
            pass
        return body[:MOST_READ]

    def _event(self) -> object:
        while (event := self._connection.next_event()) is h11.NEED_DATA:
            if self._read >= MOST_READ:
                raise h11.RemoteProtocolError("the answer is too long")
            self._channel.settimeout(_left(self._ends))
            found = self._channel.recv(min(_AT_ONCE, MOST_READ - self._read))
            self._read += len(found)
            self._connection.receive_data(found)
        return event
