"""Which tasks were running when their worker died, and may be why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from runqy_notebook.broker.records import moment_of, state_of
from runqy_notebook.wire.documented import count
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_text

MOST = 100  # read at a time, the latest


@dataclass(frozen=True, slots=True)
class Killer:
    """An unfinished task that was running when its worker died, last `at`; it is known to have
    killed its process `crashes` times.
    """

    task_id: str
    queue: str
    at: datetime | None
    crashes: int


def killers(client: redis.Redis, layout: Layout = DOCUMENTED) -> list[Killer]:
    """The tasks lost with their worker within a day that are not finished, the latest first."""
    listed: Any = client.zrange(layout.ours + "killers", 0, MOST - 1, desc=True, withscores=True)
    named = [(*to_text(member).split("|", 1), at) for member, at in listed]
    pipeline = client.pipeline(transaction=False)
    for _, task_id, _ in named:
        pipeline.hmget(layout.task(task_id), "state", "crashes", "losses")
    found = []
    for (base, task_id, at), (state, *counts) in zip(named, pipeline.execute(), strict=True):
        crashes, losses = map(count, counts)
        if crashes + losses and not state_of(state).is_finished:
            found.append(Killer(task_id, layout.queue_of_base(base), moment_of(at), crashes))
    return found
