"""How much of Redis' memory stored results take."""

from __future__ import annotations

from collections.abc import Iterable

import redis

from runqy_notebook.broker.listing import answers
from runqy_notebook.wire.layout import Layout, to_bytes
from runqy_notebook.wire.states import State

MOST = 10_000  # of a queue, the newest; the setting completed_cap is as high
_PAGE = 2_000


def result_bytes(client: redis.Redis, layout: Layout, names: Iterable[str]) -> dict[str, int]:
    """Of each queue the bytes that the stored results of its completed tasks take."""
    names = list(names)
    pipe = client.pipeline(transaction=False)
    for name in names:
        pipe.zrevrange(layout.queue(name).of(State.COMPLETED), 0, MOST - 1)
    held: dict[str, int] = {}
    for name, ids in zip(names, answers(pipe), strict=True):
        held[name] = 0
        for at in range(0, len(ids or ()), _PAGE):
            pipe = client.pipeline(transaction=False)
            for task_id in ids[at : at + _PAGE]:
                pipe.strlen(to_bytes(layout.results) + task_id)
            held[name] += sum(filter(None, answers(pipe)))
    return held
