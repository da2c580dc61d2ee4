"""Passing a webhook on to the kernel's receiver, as it came."""

from __future__ import annotations

from collections.abc import Mapping

from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from runqy_notebook.echo.app import SOURCE_HEADER
from runqy_notebook.echo.directory import Entry
from runqy_notebook.echo.screening import RefusedError

MOST = 16
"""Webhooks under way at a time: as many bodies the Jupyter server holds for us."""

_SECONDS = 5.0

# What is between the sender and this server, or lets somebody into it, ends here.
_ENDS_HERE = {
    *("host", "content-length", "connection", "keep-alive", "proxy-connection", "te", "trailer"),
    *("transfer-encoding", "upgrade", "expect", "accept-encoding"),
    *("cookie", "authorization", "proxy-authorization", SOURCE_HEADER.lower()),
}

_THE_SENDERS_FAULT = (400, 401, 413, 415, 431)


class Passer:
    """Passes webhooks on, at most MOST at a time."""

    def __init__(self) -> None:
        self.under_way = 0
        self._client: SimpleAsyncHTTPClient | None = None

    async def pass_on(
        self, entry: Entry, rest: str, headers: Mapping[str, str], body: bytes, source: str
    ) -> None:
        """Returns once the receiver has taken it; raises RefusedError with what the receiver said,
        or with 503 where it said nothing that is the sender's concern.
        """
        if self._client is None:  # not before the server's loop runs
            self._client = SimpleAsyncHTTPClient(force_instance=True, max_clients=MOST)
        kept = {name: value for name, value in headers.items() if name.lower() not in _ENDS_HERE}
        request = HTTPRequest(
            f"http://127.0.0.1:{entry.port}/{entry.relay_key}{rest}",
            method="POST",
            headers={**kept, SOURCE_HEADER: source},
            body=body,
            follow_redirects=False,
            connect_timeout=_SECONDS,
            request_timeout=_SECONDS,
        )
        try:
            answer = await self._client.fetch(request, raise_error=False)
        except (HTTPClientError, OSError):
            raise RefusedError(503, "the kernel does not answer", retry_after=5) from None
        if answer.code in _THE_SENDERS_FAULT:
            raise RefusedError(answer.code, answer.body.decode("utf-8", "replace").strip())
        if answer.code != 204:
            raise RefusedError(503, "the kernel does not take it", retry_after=5)
