"""How one webhook is taken in, by the receiver and by the relay alike."""

from __future__ import annotations

from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.web import RequestHandler, stream_request_body

from runqy_notebook.echo.limits import MAX_BODY, REQUEST_SECONDS
from runqy_notebook.echo.screening import RefusedError, check_head, length_of

_NO_POST = "not a POST"


@stream_request_body
class Intake(RequestHandler):
    """Takes a JSON POST within the limits; everything else is refused in one line of plain text.

    What is refused for its head is answered after its body was read and thrown away: a sender still
    sending when the connection closes would see no answer. Too large a body is not waited for.
    """

    def check(self) -> None:
        """Raises RefusedError for a request that must not go on, before any of its body is kept."""
        raise NotImplementedError

    async def take(self, body: bytes) -> None:
        """Answers a webhook of which all has arrived."""
        raise NotImplementedError

    def count_refusal(self, why: str) -> None:
        """Takes note of a refused request."""

    def hold(self, n_bytes: int) -> None:
        """Takes note of bytes kept for a request under way."""

    @property
    def connection(self) -> HTTP1Connection:
        """Where the request comes in; tornado serves no other HTTP than 1.x."""
        return cast(HTTP1Connection, self.request.connection)

    def set_default_headers(self) -> None:
        self.clear_header("Server")

    def prepare(self) -> None:
        self.connection.set_max_body_size(MAX_BODY)
        self.connection.set_body_timeout(REQUEST_SECONDS)
        self._body = bytearray()
        self._refusal: RefusedError | None = None
        try:
            if self.request.method != "POST":
                raise RefusedError(405, _NO_POST)
            self.check()
            check_head(self.request.headers)
        except RefusedError as refusal:
            if length_of(self.request.headers) > MAX_BODY:
                raise
            self._refusal = refusal

    def data_received(self, chunk: bytes) -> None:
        if self._refusal is None:
            self._body += chunk
            self.hold(len(chunk))

    async def post(self, *path: str) -> None:
        if self._refusal is not None:
            raise self._refusal
        body, self._body = bytes(self._body), bytearray()
        await self.take(body)

    def on_connection_close(self) -> None:
        super().on_connection_close()
        self._body = bytearray()  # tornado's handlers live on in circles until they are collected

    def answer(self, status: int, text: str = "") -> None:
        """Ends the request."""
        self.set_status(status)
        if text:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"{text}\n")
        self.finish()

    def write_error(self, status_code: int, **details: Any) -> None:
        error = details.get("exc_info", (None, None, None))[1]
        why = self._reason.lower()
        if isinstance(error, RefusedError):
            why = error.why
            if error.retry_after is not None:
                self.set_header("Retry-After", error.retry_after)
        if status_code == 405:
            why = _NO_POST
            self.set_header("Allow", "POST")
        self.count_refusal(why)
        self.answer(status_code, why)

    def _log(self) -> None:
        """Nothing: the path of a webhook is a secret, and the counters say the rest."""
