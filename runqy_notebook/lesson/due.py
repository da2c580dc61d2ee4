"""What a sweep would have to do in a queue, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from runqy_notebook.broker.keys import Keys, Snapshot
from runqy_notebook.broker.records import worker_of
from runqy_notebook.wire.layout import to_bytes
from runqy_notebook.wire.states import State


def is_due(seen: Snapshot, keys: Keys, workers: Collection[str], lease: float) -> bool:
    """Whether something is to be swept now. Of leases only those of these workers count."""
    return any(at <= seen.at for at in _moments(seen, keys, workers, lease))


def due_in(seen: Snapshot, keys: Keys, workers: Collection[str], lease: float) -> float | None:
    """Seconds until something is; None where nothing waits for its time."""
    nearest = min(_moments(seen, keys, workers, lease), default=None)
    return None if nearest is None else max(0.0, nearest - seen.at)


def waiting_for_their_time(seen: Snapshot, keys: Keys) -> list[str]:
    """The tasks that are scheduled, or wait for another attempt."""
    return [
        task_id
        for state in (State.RETRY, State.SCHEDULED)
        for task_id in seen.scores(keys.layout, keys.queue, state)
    ]


def _moments(seen: Snapshot, keys: Keys, workers: Collection[str], lease: float) -> Iterator[float]:
    """When a sweep would find something, unix seconds by the server's clock."""
    for state in (State.RETRY, State.SCHEDULED):
        yield from seen.scores(keys.layout, keys.queue, state).values()
    yield from seen.waiting.values()
    held = seen.keys.get(keys.layout.queue(keys.queue).lease)
    for entry in held.entries if held else ():
        claim = seen.task(keys.layout, entry.name).get("claim", "")
        if worker_of(to_bytes(claim)) not in workers:
            continue
        ends = entry.score or 0.0
        since = seen.suspects.get(entry.name)
        if since is not None and ends <= seen.at:
            yield since + lease / 3  # the second look
        else:
            yield ends
