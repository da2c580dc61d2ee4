"""Receipts: one for each webhook that was taken, the newest of them kept."""

from __future__ import annotations

import itertools
import json
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Final

from runqy_notebook.errors import PayloadError, UsageError, one_line
from runqy_notebook.wire.payload import decode

MOST: Final = 1_000
"""Receipts kept."""

MOST_BYTES: Final = 16 * 2**20
"""Bytes of their bodies."""


class Verdict(str, Enum):
    """What is known of the sender of a webhook that was taken."""

    VERIFIED = "verified"  # signed with a secret of ours
    DUPLICATE = (
        "duplicate"  # verified, and its id was verified before: a repeated attempt or a copy
    )
    UNSIGNED = "unsigned"  # it knew the URL, which is all that is known

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Receipt:
    """One webhook that was taken. All of it but the verdict is what a stranger wrote.

    `headers` and `path` are free of control characters and secrets; `path` is what follows the
    receiver's URL. `body` is JSON, as it came. `source` is the sender's address, behind "relay " if
    the Jupyter server passed it on; `latency_ms` is how long the request took to arrive and be
    judged.
    """

    id: str
    received_at: datetime
    task_id: str | None
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    verdict: Verdict
    source: str
    latency_ms: float

    @property
    def value(self) -> object:
        """The JSON value of the body."""
        return decode(self.body)

    def text(self, limit: int = 4_096) -> str:
        """The body as indented JSON of at most `limit` characters, without control characters."""
        encoder = json.JSONEncoder(indent=2, ensure_ascii=False)
        parts: list[str] = []
        length = 0
        try:
            for part in encoder.iterencode(self.value):  # piecemeal: indented it may be gigabytes
                parts.append(part[: limit + 1])
                length += len(parts[-1])
                if length > limit:
                    break
        except (RecursionError, PayloadError):
            parts = [self.body[: limit + 1].decode("utf-8", "replace")]
        shown = "".join(char for char in "".join(parts) if char.isprintable() or char == "\n")
        return shown if len(shown) <= limit else shown[: limit - 1] + "…"


class Receipts:
    """The newest receipts, at most MOST of them and MOST_BYTES of bodies; for any thread."""

    def __init__(self, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        self.arrived = 0  # in all, those forgotten included
        self._most = most
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: deque[Receipt] = deque()
        self._changed = threading.Condition()

    def add(self, receipt: Receipt) -> None:
        """Keeps it, and forgets the oldest ones that are too many then."""
        with self._changed:
            self.arrived += 1
            self._kept.append(receipt)
            self._bytes += len(receipt.body)
            while len(self._kept) > self._most or (
                self._bytes > self._most_bytes and len(self._kept) > 1
            ):
                self._bytes -= len(self._kept.popleft().body)
            self._changed.notify_all()

    def newest(self, limit: int | None = None) -> list[Receipt]:
        """Those kept, newest first."""
        with self._changed:
            return list(itertools.islice(reversed(self._kept), limit))

    def get(self, receipt_id: str) -> Receipt:
        """Raises UsageError where it is not kept."""
        for receipt in self.newest():
            if receipt.id == receipt_id:
                return receipt
        raise UsageError(
            f"There is no receipt {one_line(receipt_id, 80)!r}: the newest {self._most} are kept. "
            "%runqy echoes lists them."
        )

    def next_after(self, number: int, seconds: float) -> tuple[int, Receipt] | None:
        """The first kept receipt after the one that arrived as `number`-th, and its own number;
        waits at most `seconds` for one. A gap between the numbers are the forgotten ones.
        """
        with self._changed:
            if self.arrived <= number:
                self._changed.wait(seconds)
            if self.arrived <= number:
                return None
            oldest = self.arrived - len(self._kept) + 1
            found = max(oldest, number + 1)
            return found, self._kept[found - oldest]

    def wake(self) -> None:
        """Has whoever waits in `next_after` look again."""
        with self._changed:
            self._changed.notify_all()
