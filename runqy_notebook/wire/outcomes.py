"""What became of a task that a worker held. Made by the worker, written down by the broker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from runqy_notebook.wire.deliveries import Parcel
from runqy_notebook.wire.documented import Task

CANCELLED: Final = "cancelled"
"""The error of a task that was archived because somebody cancelled it."""


@dataclass(slots=True)
class Completed:
    """The handler returned `value`; `result` is its JSON where it is to be stored, `told` where it
    is small enough to go to those who listen. `parcel` is what is delivered, here as elsewhere.

    Not changed by anybody; a frozen one takes three times as long to make.
    """

    task: Task
    value: object
    result: bytes = b""
    result_ttl: float = 0.0  # seconds
    told: bytes = field(default=b"", compare=False)
    parcel: Parcel | None = None


@dataclass(frozen=True, slots=True)
class Retried:
    """The handler failed and will be tried again in `delay` seconds."""

    task: Task
    error: str
    delay: float
    cause: BaseException | None = None
    traceback_text: str = ""


@dataclass(frozen=True, slots=True)
class Archived:
    """The task failed for the last time."""

    task: Task
    error: str
    cause: BaseException | None = None
    traceback_text: str = ""
    parcel: Parcel | None = None


@dataclass(frozen=True, slots=True)
class Released:
    """The task goes back to the front of its queue, without blame."""

    task: Task


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process that ran the task apart from the kernel died: of the task, or, where that is not
    known, perhaps of another one that ran there. The parcel goes out if it is archived for that.
    """

    task: Task
    error: str
    parcel: Parcel | None = None
    is_known: bool = True


Outcome: TypeAlias = Completed | Retried | Archived | Released | Crashed
