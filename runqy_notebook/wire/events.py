"""What happens to tasks, told to whoever listens: one JSON object each on a pub/sub channel.

Events are news, not records: nobody who listens too late gets them, and a foreign worker sends
none. The queues' keys stay the truth.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome, Released, Retried
from runqy_notebook.wire.states import State

LARGEST_RESULT: Final = 64 * 2**10
"""Bytes of JSON up to which a result goes along with the news that it is there."""

_LONE_SURROGATES: Final = re.compile("[\ud800-\udc7f\udd00-\udfff]")


class Kind(str, Enum):
    """What happened."""

    ENQUEUED = "enqueued"
    STARTED = "started"
    PROGRESS = "progress"
    LOG = "log"
    DISPLAYED = "displayed"
    COMPLETED = "completed"
    RETRIED = "retried"
    ARCHIVED = "archived"
    RELEASED = "released"  # given back by a worker that stopped, without blame
    REDELIVERED = "redelivered"  # taken from a worker that died
    DUE = "due"  # a retry or scheduled task came to pending
    CANCELLING = "cancelling"  # a running task was asked to end
    DELETED = "deleted"
    PAUSED = "paused"  # the queue was
    RESUMED = "resumed"
    DELIVERED = "delivered"  # a result reached a destination, or an attempt failed
    ECHO = "echo"  # a webhook arrived

    def __str__(self) -> str:
        return self.value


_STATES: Final[Mapping[Kind, State]] = {
    Kind.ENQUEUED: State.PENDING,
    Kind.STARTED: State.ACTIVE,
    Kind.COMPLETED: State.COMPLETED,
    Kind.RETRIED: State.RETRY,
    Kind.ARCHIVED: State.ARCHIVED,
    Kind.RELEASED: State.PENDING,
    Kind.REDELIVERED: State.PENDING,
    Kind.DUE: State.PENDING,
    Kind.CANCELLING: State.ACTIVE,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. Times are unix seconds; `task_id` is empty where a queue is meant.

    `by` is the worker or session that made it happen. `lines` are log lines, of which `dropped`
    more were not sent; their `note` is the line that is still being written, such as a progress
    bar, which the next one replaces. `done` of `total` (0: unknown) is progress. `data` maps mime
    types to what a handler displayed (images as base64, JSON as its text); its `note` is the id of
    the display, whose earlier content it replaces. `outcome` holds the handler's own value or
    exception: it never leaves the process. `is_local` is true of what a handler of this process
    displayed; what came over a channel never has it, so that nobody elsewhere can claim it.
    """

    kind: Kind
    task_id: str
    queue: str
    at: float
    by: str = ""
    state: State | None = None
    attempt: int = 0  # counted from 1; 0: not known
    attempts: int = 0  # how many there may be in all
    due_at: float | None = None
    error: str = ""
    result: bytes | None = None  # JSON
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    lines: tuple[str, ...] = ()
    dropped: int = 0
    data: Mapping[str, str] | None = None
    outcome: Outcome | None = None
    is_local: bool = False


def of_outcome(outcome: Outcome, at: float, by: str) -> Event:
    """What a worker of this process tells its own listeners of an outcome that was written down."""
    task = outcome.task
    event = Event(
        Kind.COMPLETED,
        task.id,
        task.queue,
        at,
        by,
        attempt=task.retry + 1,
        attempts=task.max_retry + 1,
        outcome=outcome,
    )
    match outcome:
        case Completed():
            return replace(event, state=State.COMPLETED)
        case Retried(error=error, delay=delay):
            retry = replace(event, kind=Kind.RETRIED, state=State.RETRY)
            return replace(retry, error=error, due_at=at + delay)
        case Archived(error=error):
            return replace(event, kind=Kind.ARCHIVED, state=State.ARCHIVED, error=error)
        case Released():
            return replace(event, kind=Kind.RELEASED, state=State.PENDING)
        case Crashed(error=error):
            return replace(event, kind=Kind.REDELIVERED, state=State.PENDING, error=error)


_TEXTS: Final = {"error": "error", "note": "note", "by": "by"}
_NUMBERS: Final = {"attempt": int, "attempts": int, "done": float, "total": float, "dropped": int}


def encode_event(event: Event) -> bytes:
    """The event as JSON text; what is empty is left out. Bytes that `to_text` kept are as they
    were; other halves of characters, which no UTF-8 has, are replaced.
    """
    fields: dict[str, object] = {
        "event": event.kind.value,
        "id": event.task_id,
        "queue": event.queue,
        "at": event.at,
    }
    for name in (*_TEXTS, *_NUMBERS, "due_at", "data"):
        if value := getattr(event, name):
            fields[name] = dict(value) if isinstance(value, Mapping) else value
    if event.state is not None:
        fields["state"] = event.state.value
    if event.lines:
        fields["lines"] = list(event.lines)
    plain = _LONE_SURROGATES.sub("\ufffd", json.dumps(fields, ensure_ascii=False))
    text = plain.encode("utf-8", "surrogateescape")
    if event.result is not None:
        text = text[:-1] + b', "result": ' + event.result + b"}"
    return text


def decode_event(text: bytes) -> Event | None:
    """The event in what came over a channel; None where it is none. What is odd in it is dropped:
    anybody may publish there.
    """
    try:
        fields = json.loads(text.decode("utf-8", "surrogateescape"))
        kind = Kind(fields["event"])
        event = Event(kind, _text(fields["id"]), _text(fields["queue"]), float(fields["at"]))
        return replace(event, state=_state(kind, fields), **_optional(fields))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None


def _optional(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: _text(fields[name]) for name in _TEXTS if fields.get(name) is not None
    }
    found |= {name: make(fields[name]) for name, make in _NUMBERS.items() if name in fields}
    if "due_at" in fields:
        found["due_at"] = float(fields["due_at"])
    if "lines" in fields:
        found["lines"] = tuple(_text(line) for line in fields["lines"])
    if "data" in fields:
        found["data"] = {_text(kind): _text(value) for kind, value in dict(fields["data"]).items()}
    if "result" in fields:
        found["result"] = json.dumps(fields["result"]).encode()
    return found


def _state(kind: Kind, fields: Mapping[str, Any]) -> State | None:
    return State(fields["state"]) if "state" in fields else _STATES.get(kind)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value
