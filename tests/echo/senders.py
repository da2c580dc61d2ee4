"""Senders of webhooks: well-behaved ones, and raw sockets for the others."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple
from urllib.parse import urlsplit

from runqy_notebook.deliver.signing import Secret, sign

JSON = {"Content-Type": "application/json"}


class Answer(NamedTuple):
    status: int
    text: str
    headers: Mapping[str, str]


def post(
    url: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    method: str = "POST",
) -> Answer:
    """Sends a request as a library would; `body` is JSON unless it is bytes."""
    parts = urlsplit(url)
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    path = f"{parts.path}{'?' if parts.query else ''}{parts.query}"
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    try:
        connection.request(method, path, raw, {**JSON, **(headers or {})})
        answer = connection.getresponse()
        return Answer(answer.status, answer.read().decode().strip(), dict(answer.headers))
    finally:
        connection.close()


def signed(secret: Secret, body: bytes, message_id: str = "m1", age: float = 0) -> dict[str, str]:
    """The headers of a webhook that was signed `age` seconds ago."""
    return sign([secret], message_id, int(time.time() - age), body)


def connected(url: str) -> socket.socket:
    """An open connection to a receiver."""
    parts = urlsplit(url)
    return socket.create_connection((str(parts.hostname), parts.port or 80), timeout=30)


def said(connection: socket.socket) -> bytes:
    """Everything that the other side says until it closes."""
    heard = b""
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            heard += part
    return heard


def head(url: str, *lines: str, method: str = "POST") -> bytes:
    """The head of a raw request, with its Host and these lines."""
    parts = urlsplit(url)
    first = f"{method} {parts.path} HTTP/1.1"
    return "\r\n".join([first, f"Host: {parts.netloc}", *lines, "", ""]).encode("latin1")
