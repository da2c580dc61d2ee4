"""What goes to the scripts that move tasks, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from runqy_notebook.errors import RunqyError
from runqy_notebook.wire.deliveries import MOST_WAITING, Parcel
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import Layout, to_bytes
from runqy_notebook.wire.outcomes import (
    Archived,
    Completed,
    Crashed,
    Outcome,
    Released,
    Retried,
)

LONGEST: Final = 1e9
"""Seconds; what is to live longer lives so long (Redis has a limit too)."""


class WrongTypeError(RunqyError):
    """Somebody else's key stands where a queue or a task belongs."""

    def __init__(self, key: str, found: str, wanted: str) -> None:
        self.key, self.found, self.wanted = key, found, wanted
        super().__init__(
            f"The key {key!r} holds a {found}, not a {wanted}: nothing can be queued there until "
            "it is renamed or deleted (RENAME, DEL)."
        )


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished tasks are kept (seconds), how many of them per queue, and how often a
    task may kill its process before it counts as finished: archived. The same of finished
    deliveries, and the lane of the outbox for URLs.
    """

    completed_ttl: float
    completed_cap: int
    archived_ttl: float
    archived_cap: int
    crash_limit: int = 3
    deliveries_ttl: float = 86_400.0
    deliveries_cap: int = 1_000
    url_lane: str = "url"

    def __post_init__(self) -> None:
        for name in ("completed_ttl", "archived_ttl"):
            object.__setattr__(self, name, min(getattr(self, name), LONGEST))

    @property
    def of_completed(self) -> tuple[float, int]:
        """Life and cap of completed tasks, as scripts take them."""
        return self.completed_ttl, self.completed_cap

    @property
    def of_archived(self) -> tuple[float, int]:
        """Life and cap of archived tasks."""
        return self.archived_ttl, self.archived_cap

    def terms(self, layout: Layout) -> bytes:
        """On what terms scripts write down deliveries of tasks that they archive (lib/owe.lua)."""
        kept = (self.deliveries_ttl, self.deliveries_cap, MOST_WAITING)
        return "\n".join(map(str, (layout.root, self.url_lane, *kept))).encode()


class Exchange(NamedTuple):
    """A slot's next call: outcomes to write down, then tasks to claim. After a lost reply the very
    same exchange is made again; its nonce keeps it from counting twice.
    """

    slot: str
    nonce: str
    outcomes: tuple[Outcome, ...]
    queues: tuple[str, ...]  # to claim from, most urgent first
    want: int


@dataclass(slots=True)
class Settled:
    """The answer to an exchange: a word per outcome, the tasks claimed, and a key of each queue
    that was passed over because of that key's type.

    OK: written down. FENCED: the task was given to another worker. GONE: deleted by an outsider.
    UNSOUND: the queue was passed over; the task is redelivered once its key is mended.

    Not changed by anybody, like outcomes; see `Completed`.
    """

    answers: list[str]
    tasks: list[Task]
    unsound: list[WrongTypeError]
    at: float = field(compare=False)  # by the server's clock, unix seconds


class Keeping(Enum):
    """Which existing tasks an enqueue keeps instead of writing them anew: those that are unfinished
    and those whose result is stored, whatever became of their record; or also what was archived.
    """

    RESULTS = "2"
    RESULTS_AND_FAILED = "3"


class Enqueued(NamedTuple):
    """When tasks were enqueued (unix seconds by the server's clock), and the positions of those
    that existed already.
    """

    at: float
    existed: frozenset[int]


@dataclass(frozen=True, slots=True)
class SweepEvent:
    """What a sweep did to a task: suspect, redelivered, crashed or orphan."""

    kind: str
    task_id: str
    queue: str


def outcome_row(number: int, outcome: Outcome, kept: Retention) -> tuple[object, ...]:
    """The nine arguments by which the settle script knows an outcome."""
    task = outcome.task
    head = (number, to_bytes(task.id), task.token)
    match outcome:
        case Completed(result=result, result_ttl=ttl, told=told, parcel=parcel):
            told = b"=" if result and told == result else told
            life = min(ttl, LONGEST)
            return (*head, "complete", result, life, 0, told, _parcel(parcel, kept))
        case Retried(error=error, delay=delay):
            return (*head, "retry", to_bytes(error), task.retry + 1, delay, b"", b"")
        case Archived(error=error, parcel=parcel):
            return (*head, "archive", to_bytes(error), 0, 0, b"", _parcel(parcel, kept))
        case Crashed(error=error, parcel=parcel, is_known=is_known):
            limit, doubt = kept.crash_limit, b"" if is_known else b"?"
            return (*head, "crash", to_bytes(error), limit, 0, doubt, _parcel(parcel, kept))
        case Released():
            return (*head, "release", b"", 0, 0, b"", b"")


def _parcel(parcel: Parcel | None, kept: Retention) -> bytes:
    return parcel.encoded(ttl=kept.deliveries_ttl, cap=kept.deliveries_cap) if parcel else b""
