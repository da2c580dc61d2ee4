"""Whether a webhook is taken: what its head, its signature and its body must be."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from tornado.web import HTTPError

from runqy_notebook.deliver import signing
from runqy_notebook.deliver.signing import Secret
from runqy_notebook.echo.limits import MAX_BODY, MAX_HEADER
from runqy_notebook.echo.receipts import Verdict
from runqy_notebook.errors import PayloadError, one_line
from runqy_notebook.wire.payload import decode

_JSON = re.compile(r"application/(?:[\w.+-]+\+)?json\s*(?:;.*)?", re.IGNORECASE)
_SECRET_NAME = re.compile(
    r"auth|cookie|token|secret|passw|credential|api-?key|session", re.IGNORECASE
)
_SECRET_IN_QUERY = re.compile(
    r"(?<=[?&])([^=&]*(?:auth|token|secret|passw|key|sig|session)[^=&]*=)[^&]*", re.IGNORECASE
)
_LONGEST_ID = 200  # characters of a task's id
_MOST_REMEMBERED = 10_000


class RefusedError(HTTPError):
    """A webhook that is not taken; `why` is a word or two, for the sender and the counters.

    It may be worth another attempt after `retry_after` seconds.
    """

    def __init__(self, status: int, why: str, retry_after: int | None = None) -> None:
        super().__init__(status)
        self.why = why
        self.retry_after = retry_after


def check_head(headers: Mapping[str, str]) -> None:
    """Raises RefusedError for what cannot be a webhook, whoever sent it."""
    if sum(len(name) + len(value) + 4 for name, value in headers.items()) > MAX_HEADER:
        raise RefusedError(431, "header too large")
    if length_of(headers) > MAX_BODY:
        raise RefusedError(413, "body too large")
    if not _JSON.fullmatch(headers.get("Content-Type", "")):
        # Not for tidiness alone: a web page may send other types anywhere without asking first.
        raise RefusedError(415, "not application/json")


def length_of(headers: Mapping[str, str]) -> int:
    """Bytes of the body as declared; 0 where it is not, or makes no sense (tornado refuses it)."""
    text = headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        return 0
    return int(text) if len(text) < 16 else MAX_BODY + 1


class SignatureCheck:
    """Judges signatures, and remembers the ids of what was verified."""

    def __init__(self, secrets: Sequence[Secret], *, is_required: bool) -> None:
        self.is_required = is_required
        self._secrets = secrets
        self._seen: OrderedDict[str, float] = OrderedDict()  # id -> when it may be forgotten

    def judge(
        self, headers: Mapping[str, str], body: bytes, now: float, *, is_required: bool = False
    ) -> Verdict:
        """The verdict on the raw body, unparsed; raises RefusedError (401)."""
        found = signing.verify(self._secrets, headers, body, now=now)
        if found is signing.Verdict.VALID:
            return self._first_or_again(headers[signing.ID], now)
        if found is not signing.Verdict.UNSIGNED:
            raise RefusedError(401, f"{found} signature")
        if is_required or self.is_required:
            raise RefusedError(401, "no signature")
        return Verdict.UNSIGNED

    def _first_or_again(self, message_id: str, now: float) -> Verdict:
        while self._seen and (
            next(iter(self._seen.values())) < now or len(self._seen) >= _MOST_REMEMBERED
        ):
            self._seen.popitem(last=False)
        is_again = message_id in self._seen
        # A timestamp may lie TOLERANCE ahead, and is good for as long after.
        self._seen[message_id] = now + 2 * signing.TOLERANCE
        self._seen.move_to_end(message_id)
        return Verdict.DUPLICATE if is_again else Verdict.VERIFIED


def task_id_in(body: bytes) -> str | None:
    """The task's id in a body; raises RefusedError (400) where it is no JSON."""
    try:
        value = decode(body)
    except PayloadError:
        raise RefusedError(400, "body is not JSON") from None
    found = value.get("task_id") if isinstance(value, dict) else None
    return one_line(found, _LONGEST_ID) if isinstance(found, str) and found else None


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers as they may be shown: one line each, what lets somebody in masked."""
    return {
        one_line(name, 100): "***" if _SECRET_NAME.search(name) else one_line(value, 1_000)
        for name, value in headers.items()
    }


def shown_path(path: str) -> str:
    """A path with its query as it may be shown."""
    return one_line(_SECRET_IN_QUERY.sub(r"\1***", path), 1_000)
