"""The worker's sign of life, where runqy's monitoring documents look for it."""

from __future__ import annotations

from collections.abc import Sequence

import redis

from runqy_notebook.wire.layout import DOCUMENTED, Layout

INTERVAL = 5.0  # seconds between beats
TTL = 30  # seconds that a beat counts

CLIENT = "runqy_notebook"
"""Marks our beats among those of other workers."""


class Heartbeat:
    """Writes `asynq:workers:WORKERID`. The set `asynq:workers` belongs to others: whoever makes it
    fixes its type, so it is never written here.
    """

    def __init__(self, client: redis.Redis, worker_id: str, layout: Layout = DOCUMENTED) -> None:
        self._client = client
        self._worker_id = worker_id
        self._key = layout.worker(worker_id)
        self._started_at: int | None = None

    def beat(
        self, *, queues: Sequence[str], concurrency: int, healthy: bool, active: Sequence[str]
    ) -> None:
        """Says that the worker lives, for the next 30 s."""
        now = int(self._client.time()[0])  # the server's clock, so that all beats compare
        self._started_at = now if self._started_at is None else self._started_at
        pipeline = self._client.pipeline(transaction=True)
        pipeline.hset(
            self._key,
            mapping={
                "worker_id": self._worker_id,
                "started_at": str(self._started_at),
                "last_beat": str(now),
                "concurrency": str(concurrency),
                "queues": ", ".join(queues),
                "status": "running",
                "healthy": "1" if healthy else "0",
                "active_task": ", ".join(active),
                "client": CLIENT,
            },
        )
        pipeline.expire(self._key, TTL)
        pipeline.execute()

    def end(self) -> None:
        """Takes the sign away: the worker stopped."""
        self._client.delete(self._key)
