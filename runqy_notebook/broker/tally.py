"""Counts what queues hold and have done: three round trips for however many queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.client import Pipeline

from runqy_notebook.broker.listing import answers, ask_length, hashes_of
from runqy_notebook.broker.records import QueueRecord, WorkerRecord, moment_of
from runqy_notebook.wire import queues
from runqy_notebook.wire.documented import count, seconds
from runqy_notebook.wire.layout import Layout
from runqy_notebook.wire.states import State

_QUESTIONS = 13
"""How many commands `_ask` sends for a queue."""


def tally(
    client: redis.Redis,
    layout: Layout,
    names: Sequence[str],
    workers: Sequence[WorkerRecord] | None,
) -> dict[str, QueueRecord | None]:
    """A record of each queue, None where a key of it has the wrong type.

    `workers` are the live ones, or None where nobody looked for them.
    """
    at, microseconds = client.time()
    now = at + microseconds / 1e6
    today = f"{moment_of(now):%Y-%m-%d}"
    pipe = client.pipeline(transaction=False)
    for name in names:
        _ask(pipe, layout, name, today)
    rows = list(zip(*[iter(answers(pipe))] * _QUESTIONS, strict=True))

    heads = [head for head, *_ in rows if head is not None]
    times = hashes_of(client, layout, heads, ("enqueued_at",))
    found: dict[str, QueueRecord | None] = {}
    for name, (head, *counts) in zip(names, rows, strict=True):
        (enqueued_at,) = times.get(head, (None,))
        found[name] = _record(name, counts, _age(enqueued_at, now), workers)
    return found


def _ask(pipe: Pipeline, layout: Layout, name: str, today: str) -> None:
    keys = layout.queue(name)
    pipe.lindex(keys.pending, -1)
    for state in State:
        ask_length(pipe, layout, name, state)
    pipe.exists(keys.paused)
    pipe.hget(layout.ours + "trimmed", keys.base)
    for counter in ("processed", "failed"):
        pipe.get(keys.base + counter)
        pipe.get(f"{keys.base}{counter}:{today}")


def _record(
    name: str, counts: Sequence[Any], age: float | None, workers: Sequence[WorkerRecord] | None
) -> QueueRecord | None:
    *lengths, paused, trimmed, processed, processed_today, failed, failed_today = counts
    if None in lengths:
        return None
    pending, active, scheduled, retry, completed, archived = lengths
    parent, sub_queue = queues.split(name)
    return QueueRecord(
        queue=name,
        parent=parent,
        sub_queue=sub_queue,
        pending=pending,
        active=active,
        scheduled=scheduled,
        retry=retry,
        completed=completed,
        archived=archived,
        processed=count(processed),
        failed=count(failed),
        processed_today=count(processed_today),
        failed_today=count(failed_today),
        is_paused=bool(paused),
        oldest_pending_s=age,
        trimmed=count(trimmed),
        workers=None if workers is None else sum(worker.serves(name) for worker in workers),
    )


def _age(enqueued_at: bytes | None, now: float) -> float | None:
    since = seconds(enqueued_at)
    return None if since is None else max(0.0, now - since)
