"""What the scenarios share: a task queue's remains, and the tasks that they put into it."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import redis

from runqy_notebook.session import Session
from runqy_notebook.wire.layout import DOCUMENTED
from tests.chaos.handlers import QUEUE
from tests.chaos.journal import Journal
from tests.waiting import wait_until

KEYS = DOCUMENTED.queue(QUEUE)

_REMAINS = {
    "pending": KEYS.base + "pending",
    "active": KEYS.base + "active",
    "lease": KEYS.lease,
    "retry": KEYS.base + "retry",
    "scheduled": KEYS.base + "scheduled",
    "waiting": DOCUMENTED.ours + "waiting",
    "suspects": DOCUMENTED.ours + "suspects",
}

SETTLES_WITHIN = 15.0  # seconds in which sweeps clear up behind the last task


def second_chance(lease: float) -> float:
    """Seconds within which a task lost with its worker is redelivered by sweeps alone: its lease,
    a third of it until the second look, and the sweeps' own pace. 22 s at the default lease.
    """
    return lease * 4 / 3 + 2


def naps(random: Random, count: int, longest: float) -> list[dict[str, Any]]:
    """Payloads of tasks that take a random while."""
    return [{"act": "nap", "seconds": round(random.uniform(0, longest), 4)} for _ in range(count)]


def enqueue(url: str, payloads: Iterable[dict[str, Any]], **options: Any) -> list[str]:
    """Puts tasks into the queue; their ids."""
    with Session(url) as session:
        return [handle.id for handle in session.enqueue_many(QUEUE, payloads, **options)]


def remains(client: redis.Redis) -> dict[str, int]:
    """How many entries are left where only unfinished tasks may stand; without the empty ones."""
    found = {}
    for name, key in _REMAINS.items():
        kind = client.type(key)
        found[name] = client.llen(key) if kind == b"list" else client.zcard(key)
    return {name: count for name, count in found.items() if count}


def left_over(client: redis.Redis) -> int:
    """The entries that stay behind once the sweeps had time to clear up."""
    try:
        wait_until(lambda: not remains(client), "", SETTLES_WITHIN)
    except AssertionError:
        return sum(remains(client).values())
    return 0


def wait_for_ends(journal: Journal, ids: Iterable[str], seconds: float) -> None:
    """Returns when each task has come to an end, or when the time is over: what is missing then
    shows in the figures.
    """
    wanted = set(ids)
    try:
        wait_until(lambda: wanted <= journal.times("end").keys(), "", seconds)
    except AssertionError:
        return


def lost(journal: Journal, ids: Iterable[str]) -> int:
    """How many tasks never came to their end."""
    return len(set(ids) - journal.times("end").keys())


def fields(client: redis.Redis, ids: Iterable[str], name: str) -> dict[str, bytes | None]:
    """One hash field of each of these tasks."""
    ids = list(ids)
    pipeline = client.pipeline(transaction=False)
    for task_id in ids:
        pipeline.hget(DOCUMENTED.task(task_id), name)
    return dict(zip(ids, pipeline.execute(), strict=True))


def crashes(client: redis.Redis, ids: Iterable[str]) -> int:
    """How many crashes were counted against these tasks."""
    return sum(int(count or 0) for count in fields(client, ids, "crashes").values())
