"""A task as plain hash fields: the record format of runqy's published documents.

Others write `type`, `payload`, `retry`, `max_retry`, `queue`, all text, and may leave some out
or put nonsense into them; we add the fields of docs/wire.md, which they ignore.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from runqy_notebook.wire.layout import to_text

DEFAULT_TYPE = "task"
CLAIM_FIELDS = (
    "type",
    "payload",
    "retry",
    "max_retry",
    "timeout",
    "deadline",
    "store",
    "result_ttl",
    "crashes",
    "losses",
    "deliver",
)
"""The hash fields that a worker needs, in the order in which the claim script returns them."""

_UNIQUE = uuid.UUID("6f0c6c1e-2f0e-5d3b-9d53-6a8f3c8c0f11")
_MOST_DIGITS = 9
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}


class Task(NamedTuple):
    """A task that a worker holds. `payload` is JSON text as it came, not yet trusted.

    A tuple, as a frozen dataclass of so many fields takes five times as long to make.
    """

    id: str
    queue: str
    token: bytes  # the fencing token of this claim
    payload: bytes = b"{}"
    type: str = DEFAULT_TYPE
    retry: int = 0
    max_retry: int = 0
    timeout: float | None = None  # seconds, where the producer set one
    time_left: float | None = None  # seconds from the claim to its deadline, by the server's clock
    store: bool | None = None  # whether to store the result; None: as the worker likes
    result_ttl: float | None = None  # seconds
    crashes: int = 0  # times that it killed the process it ran in
    losses: int = 0  # times that it was lost with its worker, nobody knows why
    deliver: str = ""  # URLs and names of destinations, separated by spaces

    @property
    def is_suspect(self) -> bool:
        """Whether it may kill the process that runs it."""
        return self.crashes > 0 or self.losses > 0

    @property
    def has_retry_left(self) -> bool:
        return self.retry < self.max_retry


def read_task(
    queue: str, task_id: bytes, token: bytes, values: Sequence[bytes | None], now: float
) -> Task:
    """The task in a claim's row; `values` are its CLAIM_FIELDS, `now` the server's time."""
    kind, payload, retry, max_retry, *rare = values
    task = Task(
        to_text(task_id),
        queue,
        token,
        payload or b"",
        to_text(kind or b""),
        count(retry),
        count(max_retry),
    )
    if rare.count(None) == len(rare):
        return task
    timeout, deadline, store, result_ttl, crashes, losses, deliver = rare
    ends_at = seconds(deadline)
    return task._replace(
        timeout=seconds(timeout),
        time_left=None if ends_at is None else ends_at - now,
        store=None if store is None else store == b"1",
        result_ttl=seconds(result_ttl),
        crashes=count(crashes),
        losses=count(losses),
        deliver=to_text(deliver or b""),
    )


def count(raw: bytes | None) -> int:
    """A counter as others write it; what is no sensible number reads as 0."""
    if raw is None or len(raw) > _MOST_DIGITS or not raw.isdigit():
        return 0
    return int(raw)


def seconds(raw: bytes | None) -> float | None:
    """A positive number of seconds, or None for what is missing or makes no sense."""
    if raw is None:
        return None
    try:
        value = float(raw)
    except ValueError:
        return None
    return value if 0 < value < 1e11 else None


def new_ids(many: int) -> list[str]:
    """Fresh task ids: random UUIDs (version 4, RFC 9562), as the documents' producers make them.
    `uuid.uuid4` asks the system for each, and takes seven times as long.
    """
    digits = os.urandom(16 * many).hex()
    return [
        f"{one[:8]}-{one[8:12]}-4{one[13:16]}-{_VARIANT[one[16]]}{one[17:20]}-{one[20:]}"
        for one in (digits[at : at + 32] for at in range(0, 32 * many, 32))
    ]


def new_id() -> str:
    """One of them; the randomness for some is asked for at a time."""
    while True:
        try:
            return _READY.pop()
        except IndexError:
            _READY.extend(new_ids(_AT_A_TIME))


_READY: list[str] = []  # pop and extend are atomic
_AT_A_TIME: Final = 64

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_READY.clear)  # or both would make the same tasks


def unique_id(queue: str, key: bytes) -> str:
    """The task id that `--unique` gives: the same queue and key always make the same id, so
    the task's own hash says whether it is still unfinished (UUID version 5, RFC 9562).
    """
    return str(uuid.uuid5(_UNIQUE, f"{queue}\0{key.hex()}"))
