"""What a sink is: a place that results are delivered to. It is opened from a URL, by whoever has
registered for the URL's scheme (see `sinks`), and attempts what the courier brings.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

from runqy_notebook.wire.payload import decode


@dataclass(frozen=True, slots=True)
class Content:
    """A result that lies in a file, in a form of `forms`."""

    path: Path
    form: str


@dataclass(frozen=True, slots=True)
class Message:
    """One delivery. `id` is the same in all attempts, so that a repetition can be known by it.

    `body` is the JSON object that tells of a task (see docs/webhooks.md), or, where `status` is
    empty, a value that a handler or a person delivers. `content` goes in the place of its result.
    `result_url` is where another destination has the result.
    """

    id: str
    task_id: str
    body: bytes
    status: str = ""
    content: Content | None = None
    result_url: str = ""

    def told(self) -> dict[str, Any]:
        """What is told of the task: task_id, queue, status, attempt, completed_at, result or
        error, and result_url where there is one.
        """
        if self.status:
            held = decode(self.body)
            told = dict(held) if isinstance(held, dict) else {}
        else:
            now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
            now = now.replace("+00:00", "Z")
            told = {
                "task_id": self.task_id or self.id,
                "queue": "",
                "status": "completed",
                "attempt": 1,
            }
            told |= {"result": decode(self.body), "completed_at": now}
        if self.content and self.content.form == "json":
            told["result"] = decode(self.content.path.read_bytes())
        if self.result_url:
            told["result_url"] = self.result_url
        return told

    def as_json(self) -> bytes:
        """The body as it goes to a webhook."""
        if not self.content and not self.result_url:
            return self.body
        if not self.status:
            return self.content.path.read_bytes() if self.content else self.body
        return json.dumps(self.told(), ensure_ascii=False).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many seconds an attempt may take (more for what is large), and which (address, port) of
    our own may be reached although they are private.
    """

    deadline: float = 15.0
    allowed: Collection[tuple[str, int]] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver took it; `status` is what it answered, where it speaks HTTP, and `result_url`
    where the result can be had from now on. `place` is for a sink whose addresses expire: what its
    `address` makes a fresh one of.
    """

    status: int | None
    seconds: float
    result_url: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not; `retry_after` is how many seconds the receiver wants to be left alone, at least.
    A final failure would only repeat itself.
    """

    why: str
    seconds: float
    status: int | None = None
    retry_after: float = 0.0
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants no webhooks at this URL any more (410)."""

    why: str
    seconds: float
    status: int = 410


Attempt: TypeAlias = Delivered | Failed | Gone


class Sink(Protocol):
    """A place to deliver to. Threads share it, and it connects no sooner than its first attempt.

    `str()` of it shows no secret.
    """

    @property
    def suffix(self) -> str | None:
        """None where it takes JSON; else it takes files, whose names end so ("" for no matter)."""

    @property
    def largest(self) -> int:
        """Bytes of the largest JSON that it takes as a result."""

    def deliver(self, message: Message, limits: Limits) -> Attempt:
        """One attempt; twice the same message leaves the same as once, where that can be. Never
        raises for what the other side does.
        """

    def close(self) -> None:
        """Ends its connections."""


@runtime_checkable
class Addressed(Protocol):
    """What a sink also is where its addresses expire."""

    def address(self, place: str, seconds: float) -> str:
        """The address of what `deliver` put there, good from now on; may take so many seconds. A
        place comes over Redis: raises for one that is not of this sink.
        """
