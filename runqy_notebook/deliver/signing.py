"""Signing webhooks, and telling whose they are: Standard Webhooks 1.0 with symmetric secrets.

A signature is `v1,` and the base64 of HMAC-SHA256 over `{id}.{timestamp}.{body}`; the header may
hold several, so that a secret can be replaced while both are in force
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from runqy_notebook.errors import UsageError

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

TOLERANCE: Final = 300.0
"""Seconds by which the sender's clock, and the way here, may differ from ours."""

_PREFIX = "whsec_"
_SHORTEST, _LONGEST = 24, 64  # bytes of a secret; the specification's bounds
_MOST_SIGNATURES = 20  # that are looked at; a rotation has two
_LONGEST_ID = 512


@dataclass(frozen=True, slots=True)
class Secret:
    """What sender and receiver share. It never prints: only `reveal` gives its text."""

    key: bytes = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Secret:
        """From `whsec_` and base64, the prefix being optional; raises UsageError, which does not
        quote it.
        """
        try:
            plain = text.removeprefix(_PREFIX).rstrip("=")
            key = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        except (binascii.Error, ValueError, AttributeError):
            raise UsageError("A webhook secret is 'whsec_' and base64; this one is not.") from None
        if not _SHORTEST <= len(key) <= _LONGEST:
            raise UsageError(
                f"A webhook secret has {_SHORTEST} to {_LONGEST} bytes; this one has {len(key)}. "
                "Secret.new() makes one."
            )
        return cls(key)

    @classmethod
    def new(cls) -> Secret:
        """A random one."""
        return cls(secrets.token_bytes(32))

    def reveal(self) -> str:
        """Its text, for the one who is to configure the other side."""
        return _PREFIX + base64.b64encode(self.key).decode()

    def signature(self, message_id: str, timestamp: str, body: bytes) -> str:
        """`v1,...` of a message."""
        signed = f"{message_id}.{timestamp}.".encode() + body
        digest = hmac.new(self.key, signed, hashlib.sha256).digest()
        return "v1," + base64.b64encode(digest).decode()


class Verdict(str, Enum):
    """What the signature of a webhook is worth. Only VALID says who sent it."""

    VALID = "valid"
    UNSIGNED = "unsigned"  # there is no signature
    MALFORMED = "malformed"  # there is one, but no id, no time, or no version of it that we know
    STALE = "stale"  # rightly signed, too long ago or in the future
    WRONG = "wrong"  # by none of the secrets

    def __str__(self) -> str:
        return self.value


def sign(keys: Iterable[Secret], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a message: one signature for each of the secrets, in order; the first
    two where there is no secret.

    `timestamp` is unix seconds of this attempt; `message_id` stays the same in all of them.
    """
    moment = str(timestamp)
    headers = {ID: message_id, TIMESTAMP: moment}
    signatures = " ".join(key.signature(message_id, moment, body) for key in keys)
    return {**headers, SIGNATURE: signatures} if signatures else headers


def verify(
    keys: Iterable[Secret],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    tolerance: float = TOLERANCE,
) -> Verdict:
    """What these headers (in any case) say about the raw `body`; never raises, whatever they hold.

    `now` is unix seconds. Whoever acts on a webhook must still remember its id for `tolerance`
    seconds: a copy of a valid one is valid too.
    """
    found = {name.lower(): value for name, value in headers.items()}
    message_id, timestamp, listed = (found.get(name, "") for name in (ID, TIMESTAMP, SIGNATURE))
    if not listed.strip():
        return Verdict.UNSIGNED
    signatures = [each for each in listed.split()[:_MOST_SIGNATURES] if each.startswith("v1,")]
    if not _is_id(message_id) or not _is_moment(timestamp) or not signatures:
        return Verdict.MALFORMED
    if not any(_match(key.signature(message_id, timestamp, body), signatures) for key in keys):
        return Verdict.WRONG
    return Verdict.VALID if abs(now - int(timestamp)) <= tolerance else Verdict.STALE


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_ID and text.isascii() and text.isprintable()


def _is_moment(text: str) -> bool:
    return len(text) <= 12 and text.isascii() and text.isdigit()


def _match(expected: str, signatures: list[str]) -> bool:
    """Whether one of them is it, in a time that does not tell how much of it fits."""
    wanted = expected.encode()
    return any(hmac.compare_digest(wanted, each.encode("utf-8", "replace")) for each in signatures)
