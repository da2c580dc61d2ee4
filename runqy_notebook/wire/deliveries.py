"""What is to be delivered where, as the outbox takes it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Final

LARGEST_IN_REDIS: Final = 64 * 2**10
"""Bytes of JSON up to which a result lies in Redis until it is delivered; more is spooled."""

LARGEST_SENT: Final = 2**20
"""Bytes of JSON up to which a webhook carries a result."""

MOST_WAITING: Final = 100_000
"""Rows that may wait in a lane; beyond, the oldest one fails."""


class DeliveryState(str, Enum):
    """How far a delivery has come."""

    WAITING = "waiting"  # for its next attempt
    SENDING = "sending"
    DELIVERED = "delivered"
    FAILED = "failed"  # for good: no attempt is left, or none makes sense
    GONE = "gone"  # the receiver wants nothing any more

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Parcel:
    """One body, the places it goes to, and the task it tells of. `body` is JSON."""

    addresses: tuple[Address, ...]
    body: bytes
    task_id: str = ""
    queue: str = ""
    status: str = ""

    def encoded(self, *, ttl: float, cap: int) -> bytes:
        """As scripts take it (see lib/outbox.lua); finished deliveries are kept for `ttl` seconds,
        the newest `cap` of them.
        """
        about = {"task_id": self.task_id, "queue": self.queue, "status": self.status}
        rows = [
            {"id": each.id, "to": each.to, "lane": each.lane, "wait": each.wait, **about}
            | each.more()
            for each in self.addresses
        ]
        kept = {"ttl": ttl, "cap": cap, "most": MOST_WAITING}
        # Lone surrogates, of an id that is not UTF-8, are nothing that a script could read.
        return (
            json.dumps({"rows": rows, "kept": kept}, ensure_ascii=False).encode("utf-8", "replace")
            + b"\n"
            + self.body
        )


@dataclass(frozen=True, slots=True)
class Address:
    """A place that a parcel goes to: `to` is a URL or the name of a destination, `lane` what a
    session must know to deliver there, `wait` the seconds until the first attempt.
    """

    to: str
    lane: str
    wait: float
    id: str  # stays the same in all attempts: receivers know a repetition by it
    spooled: Spooled | None = None
    held: int = 0  # so many others must have ended before it may go
    holds: tuple[str, ...] = ()  # the ids of those that wait for this one

    def more(self) -> dict[str, object]:
        """Of these the ones that are there, as scripts take them."""
        found = {
            "spooled": self.spooled.encoded() if self.spooled else "",
            "held": self.held,
            "holds": " ".join(self.holds),
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Spooled:
    """What lies in a spool in place of the body's result: a file of it, in a form (see
    deliver/forms.py), or else why there is none.
    """

    file: str
    form: str
    size: int = 0
    lost: str = ""

    def encoded(self) -> str:
        return json.dumps(
            {"file": self.file, "form": self.form, "size": self.size, "lost": self.lost}
        )

    @classmethod
    def of(cls, text: str) -> Spooled | None:
        """None for an empty text; one that cannot be read is a lost one."""
        if not text:
            return None
        try:
            held = json.loads(text)
            return cls(str(held["file"]), str(held["form"]), int(held["size"]), str(held["lost"]))
        except (ValueError, TypeError, KeyError, RecursionError):
            return cls("", "", 0, "what the outbox says of it cannot be read")


def new_delivery_id() -> str:
    """A fresh one; it has no dot, since signatures put one behind it."""
    return f"msg_{uuid.uuid4().hex}"


def body_of(
    task_id: str,
    queue: str,
    status: str,
    attempt: int,
    *,
    result: bytes | None = None,
    error: str = "",
    at: datetime | None = None,
) -> bytes:
    """The JSON text that tells a receiver of a finished task; `result` is JSON, None where there is
    an error instead.
    """
    moment = (at or datetime.now(timezone.utc)).isoformat(timespec="milliseconds")
    head = {"task_id": task_id, "queue": queue, "status": status}
    tail = {"attempt": attempt, "completed_at": moment.replace("+00:00", "Z")}
    if result is None:
        return json.dumps({**head, "error": error, **tail}, ensure_ascii=False).encode(
            "utf-8", "replace"
        )
    begun = json.dumps(head, ensure_ascii=False).encode("utf-8", "replace")
    ended = json.dumps(tail).encode()
    return begun[:-1] + b', "result": ' + result + b", " + ended[1:]
