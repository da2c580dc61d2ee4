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
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError("A webhook is replayed to an http:// or https:// URL; this is none.")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    began = time.monotonic()
    try:
        connection = kind(parts.hostname, parts.port, timeout=_SECONDS)
        try:
            path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
            connection.request("POST", path, receipt.body, _headers(receipt, secrets))
            answer = connection.getresponse()
            text = answer.read(_READ).decode("utf-8", "replace")
        finally:
            connection.close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        said = one_line(error) or type(error).__name__
        raise UsageError(f"{one_line(parts.hostname, 80)} took no webhook: {said}.") from None
    return Answer(answer.status, one_line(text), time.monotonic() - began)


def _headers(receipt: Receipt, secrets: Iterable[Secret]) -> dict[str, str]:
    plain = {"Content-Type": "application/json", "User-Agent": "runqy-notebook"}
    if receipt.verdict is Verdict.UNSIGNED:
        return plain
    message_id = {name.lower(): value for name, value in receipt.headers.items()}[signing.ID]
    return plain | signing.sign(secrets, message_id, int(time.time()), receipt.body)
