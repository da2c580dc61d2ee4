"""Sending a receipt's webhook once more, to an address that the person at the keyboard chose."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from runqy_notebook.deliver import signing
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.echo.receipts import Receipt, Verdict
from runqy_notebook.errors import UsageError, one_line

_SECONDS = 15.0
_READ = 64 * 1024  # bytes of the answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said; `text` is a stranger's."""

    status: int
    text: str
    seconds: float


def send(receipt: Receipt, url: str, secrets: Iterable[Secret]) -> Answer:
    """Posts the same body, anew signed under the same webhook-id if it was verified then.

    No redirects, no proxies, one attempt. Raises UsageError for what is no http(s) URL, and where
    nobody answers.
    """
    connection, host, path = _place(url)
    began = time.monotonic()
    try:
        try:
            connection.request("POST", path, receipt.body, _headers(receipt, secrets))
            answer = connection.getresponse()
            text = answer.read(_READ).decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = one_line(error) or type(error).__name__
        raise UsageError(f"{one_line(host, 80)} took no webhook: {said}.") from None
    return Answer(answer.status, one_line(text), time.monotonic() - began)


def _place(url: str) -> tuple[http.client.HTTPConnection, str, str]:
    """A connection, not yet opened, the host's name, and what is asked for there."""
    try:
        parts = urlsplit(url)
        kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
        host = parts.hostname or ""
        if not host:
            raise ValueError(host)
        connection = kinds[parts.scheme](host, parts.port, timeout=_SECONDS)
    except (LookupError, ValueError):
        raise UsageError(
            "A webhook is replayed to an http:// or https:// URL; this is none."
        ) from None
    return connection, host, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"


def _headers(receipt: Receipt, secrets: Iterable[Secret]) -> dict[str, str]:
    plain = {"Content-Type": "application/json", "User-Agent": "runqy-notebook"}
    if receipt.verdict is Verdict.UNSIGNED:
        return plain
    message_id = {name.lower(): value for name, value in receipt.headers.items()}[signing.ID]
    return plain | signing.sign(secrets, message_id, int(time.time()), receipt.body)
