"""The sink of http and https: one attempt to deliver a webhook, from a URL to what came of it."""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timezone
from typing import TYPE_CHECKING, ClassVar, Final

from runqy_notebook.deliver.guard import Lookup, addresses, destination, look_up, masked
from runqy_notebook.deliver.signing import Secret, sign
from runqy_notebook.deliver.sink import Attempt, Delivered, Failed, Gone, Limits, Message
from runqy_notebook.errors import DestinationError, one_line
from runqy_notebook.wire.deliveries import LARGEST_SENT

if TYPE_CHECKING:
    from runqy_notebook.deliver.http import Answer

LONGEST_WAIT: Final = 3_600.0
"""Seconds that a receiver can have us wait by Retry-After."""

_QUOTED = 120  # characters of a refusal's body that are kept


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where webhooks go, and how: signed with each of `secrets`, the newest first.

    `allow_private`: it may be at an address that only machines here can reach.
    """

    url: str = field(repr=False)
    secrets: tuple[Secret, ...] = ()
    allow_private: bool = False

    suffix: ClassVar[None] = None
    largest: ClassVar[int] = LARGEST_SENT

    def __str__(self) -> str:
        return masked(self.url)

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        return attempt(
            self,
            message.id,
            message.as_json(),
            deadline=limits.deadline,
            allowed=limits.allowed,
        )

    def close(self) -> None:
        """Nothing is kept open."""


def attempt(
    endpoint: Endpoint,
    message_id: str,
    body: bytes,
    *,
    deadline: float = 15.0,
    allowed: Collection[tuple[str, int]] = (),
    lookup: Lookup = look_up,
) -> Attempt:
    """Sends a JSON body once; never raises for what the other side does.

    `deadline` is seconds for everything, looking up the name included; `allowed` are (address,
    port) of our own that may be reached although they are private.
    """
    from runqy_notebook.deliver import http  # with h11, loaded with the first attempt

    began = time.monotonic()
    ends = began + deadline
    headers = {
        "User-Agent": "runqy_notebook",
        "Accept": "*/*",
        "Content-Type": "application/json",
        **sign(endpoint.secrets, message_id, int(time.time()), body),
    }
    try:
        to = destination(endpoint.url)
        found = addresses(
            to,
            allow_private=endpoint.allow_private,
            allowed=allowed,
            lookup=lookup,
            seconds=deadline,
        )
        answer = http.post(to, found, headers, body, ends=ends)
    except DestinationError as error:
        return Failed(one_line(error), time.monotonic() - began, is_final=True)
    except (OSError, http.ProtocolError) as error:
        return Failed(_described(error, deadline), time.monotonic() - began)
    return _judged(answer, time.monotonic() - began)


def _judged(answer: Answer, seconds: float) -> Attempt:
    status = answer.status
    if 200 <= status < 300:
        return Delivered(status, seconds)
    why = f"answered {status}{_quoted(answer.body)}"
    if status == 410:
        return Gone(why, seconds)
    if 300 <= status < 400:
        why = f"answered {status}: redirects are not followed"
    return Failed(why, seconds, status, _asked_wait(answer) if status in (429, 503) else 0.0)


def _asked_wait(answer: Answer) -> float:
    """Seconds that Retry-After asks for, as a number or as a date (RFC 9110, 10.2.3)."""
    text = answer.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), LONGEST_WAIT)
    try:
        until = email.utils.parsedate_to_datetime(text)
        if until.tzinfo is None:  # "-0000"
            until = until.replace(tzinfo=timezone.utc)
        wait = until.timestamp() - time.time()
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_WAIT)


def _quoted(body: bytes) -> str:
    text = one_line(body[: 4 * _QUOTED].decode("utf-8", "replace"), _QUOTED)
    return f": {text}" if text else ""


def _described(error: Exception, deadline: float) -> str:
    match error:
        case TimeoutError():
            return f"no answer within {deadline:g} s"
        case ConnectionRefusedError():
            return "nobody listens there"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not good: {one_line(error.verify_message, 120)}"
        case OSError(strerror=str(told)):
            return one_line(told, 120)
    if not isinstance(error, OSError):
        return f"its answer is not HTTP: {one_line(error, 120)}"
    return one_line(error, 120) or type(error).__name__
