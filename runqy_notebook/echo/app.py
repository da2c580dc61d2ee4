"""The receiver's one handler: which requests are ours, and what becomes of them."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

from tornado.web import Application

from runqy_notebook.echo.connections import Connections
from runqy_notebook.echo.intake import Intake
from runqy_notebook.echo.receipts import Receipt, Receipts
from runqy_notebook.echo.screening import (
    RefusedError,
    SignatureCheck,
    shown_headers,
    shown_path,
    task_id_in,
)

SOURCE_HEADER = "X-Runqy-Source"
"""Where the relay says whom a webhook came from; believed on the relay's own path alone."""


@dataclass(slots=True)
class Desk:
    """Where webhooks arrive: the paths that lead here, the judge of signatures, the receipts.

    `token` is the path that senders know, `relay_key` the one that the relay alone knows.
    """

    check: SignatureCheck
    receipts: Receipts
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    relay_key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verdicts: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    clock: Callable[[], float] = time.time


class Hook(Intake):
    """A webhook on its way to a desk."""

    def initialize(self, desk: Desk, port: int, connections: Connections) -> None:
        self._desk = desk
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._connections = connections

    def check(self) -> None:
        if self.request.headers.get("Host") not in self._hosts:
            raise RefusedError(403, "wrong Host")  # a web page's name that was bent to 127.0.0.1
        if "Origin" in self.request.headers:
            raise RefusedError(403, "sent by a web page")
        key = self.request.path[1:].partition("/")[0].encode()
        self._is_relayed = hmac.compare_digest(key, self._desk.relay_key.encode())
        if not self._is_relayed and not hmac.compare_digest(key, self._desk.token.encode()):
            raise RefusedError(404, "wrong path")

    def hold(self, n_bytes: int) -> None:
        self._connections.hold(self.connection.stream, n_bytes)

    async def take(self, body: bytes) -> None:
        """Judges before it parses; raises RefusedError. 204 says that it was written down."""
        desk, request = self._desk, self.request
        now = desk.clock()
        source = request.remote_ip or "?"
        if self._is_relayed:
            source = f"relay {request.headers.pop(SOURCE_HEADER, '?')}"
        verdict = desk.check.judge(request.headers, body, now, is_required=self._is_relayed)
        task_id = task_id_in(body)
        desk.verdicts[verdict.value] += 1
        desk.receipts.add(
            Receipt(
                id=f"w{desk.receipts.arrived + 1}",
                received_at=datetime.fromtimestamp(now, timezone.utc),
                task_id=task_id,
                method=request.method or "POST",
                path=shown_path(_after_key(request.uri or "/")),
                headers=shown_headers(request.headers),
                body=body,
                verdict=verdict,
                source=source,
                latency_ms=request.request_time() * 1000,
            )
        )
        self.answer(204)

    def count_refusal(self, why: str) -> None:
        self._desk.refused[why] += 1


def _after_key(uri: str) -> str:
    """`/orders?n=1` of `/KEY/orders?n=1`, `/?n=1` of `/KEY?n=1`."""
    path, mark, query = uri.partition("?")
    return f"/{path[1:].partition('/')[2]}{mark}{query}"


def make_app(desk: Desk, port: int, connections: Connections) -> Application:
    """The application of one receiver."""
    return Application([(r".*", Hook, {"desk": desk, "port": port, "connections": connections})])
