"""Reads pending tasks by columns: what a table of them shows, and no record objects.

One SORT_RO ... GET a page hands over ids and shown fields in one flat answer, whose slices are the
columns. Only few different values stand in most of these, so each value is read once a page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import redis

from runqy_notebook.broker.listing import round_trips
from runqy_notebook.broker.records import shown
from runqy_notebook.wire import queues
from runqy_notebook.wire.documented import count, seconds
from runqy_notebook.wire.layout import Layout

FIELDS: Final = ("type", "payload", "retry", "max_retry", "enqueued_at")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PendingColumns:
    """Pending tasks, the next to run first; a list a column, all equally long. `payload` is JSON
    text as it came, not yet trusted; `enqueued_at` unix seconds, NaN for none.
    """

    id: list[str] = field(default_factory=list)  # as shown, not exact
    queue: list[str] = field(default_factory=list)
    type: list[str] = field(default_factory=list)
    payload: list[bytes] = field(default_factory=list)
    retry: list[int] = field(default_factory=list)
    max_retry: list[int] = field(default_factory=list)
    enqueued_at: list[float] = field(default_factory=list)


def read_pending(
    client: redis.Redis, layout: Layout, lengths: Mapping[str, int], limit: int | None
) -> PendingColumns | None:
    """The first `limit` tasks of queues so long, in the order of `listing.order`; None where the
    server does not know SORT_RO (before 7.0) or denies its GET (an ACL of `~asynq:*`).
    """
    found = PendingColumns()
    gets = [part for name in FIELDS for part in ("GET", f"{layout.tasks}*->{name}")]
    positions: list[int] = []
    for pages in round_trips(lengths, limit):
        pipe = client.pipeline(transaction=False)
        for page in pages:
            window = ("LIMIT", page.offset, page.size)
            command = ("SORT_RO", layout.queue(page.queue).pending, "BY", "nosort", "DESC")
            pipe.execute_command(*command, *window, "GET", "#", *gets)  # type: ignore[no-untyped-call]
        try:
            answers = pipe.execute()
        except redis.ResponseError:
            return None
        for page, rows in zip(pages, answers, strict=True):
            _append(found, page.queue, rows)
            if len(lengths) > 1:
                positions += range(page.offset, page.offset + len(rows) // (1 + len(FIELDS)))
    return _in_turns(found, positions, limit) if len(lengths) > 1 else found


def _append(found: PendingColumns, queue: str, rows: Sequence[Any]) -> None:
    ids, kinds, payloads, retries, most, moments = (
        rows[at :: 1 + len(FIELDS)] for at in range(1 + len(FIELDS))
    )
    found.id.extend([task_id.decode("utf-8", "replace") for task_id in ids])
    found.queue.extend([queue] * len(ids))
    found.type.extend(_read_once(kinds, lambda raw: shown(raw or b"")))
    found.payload.extend([payload or b"" for payload in payloads])
    found.retry.extend(_read_once(retries, count))
    found.max_retry.extend(_read_once(most, count))
    found.enqueued_at.extend(_read_once(moments, lambda raw: seconds(raw) or float("nan")))


def _read_once(column: Sequence[Any], read: Callable[[Any], T]) -> list[T]:
    """What `read` makes of each, called once for each different value."""
    known = {raw: read(raw) for raw in set(column)}
    return [known[raw] for raw in column]


def _in_turns(found: PendingColumns, positions: list[int], limit: int | None) -> PendingColumns:
    """In the order in which they run: by priority, queues of equal priority taking turns."""
    names = set(found.queue)
    ranks = {name: rank for rank, tier in enumerate(queues.tiers(names)) for name in tier}
    turns = [(ranks[queue], at, queue) for queue, at in zip(found.queue, positions, strict=True)]
    order = sorted(range(len(turns)), key=turns.__getitem__)[:limit]
    columns = (getattr(found, name) for name in PendingColumns.__dataclass_fields__)
    return PendingColumns(*([column[at] for at in order] for column in columns))
