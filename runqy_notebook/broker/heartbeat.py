"""The worker's sign of life, where runqy's monitoring documents look for it."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Sequence

import redis

from runqy_notebook.broker import scripts
from runqy_notebook.wire.layout import DOCUMENTED, Layout, to_bytes

INTERVAL = 5.0  # seconds between beats
TTL = 30  # seconds that a beat counts

CLIENT = "runqy_notebook"
"""Marks our beats among those of other workers."""


def new_worker_id() -> str:
    """An id for a worker or session of this process: `host:pid`, as other workers write it, and
    something that no other one has. It stands in claims, and so holds neither `/` nor `|`.
    """
    host = socket.gethostname().replace("/", "-").replace("|", "-")
    return f"{host}:{os.getpid()}:{secrets.token_hex(3)}"


class Heartbeat:
    """Writes `asynq:workers:WORKERID`, and the served queues into the set of known ones. The set
    `asynq:workers` belongs to others: whoever makes it fixes its type, so it is never written here.
    """

    def __init__(self, client: redis.Redis, worker_id: str, layout: Layout = DOCUMENTED) -> None:
        self._client = client
        self._worker_id = worker_id
        self._layout = layout
        self._key = layout.worker(worker_id)
        self._started_at: bytes | str = ""

    def beat(
        self, *, queues: Sequence[str], concurrency: int, healthy: bool, active: Sequence[str]
    ) -> None:
        """Says that the worker lives, for the next 30 s."""
        told = {
            "worker_id": self._worker_id,
            "concurrency": str(concurrency),
            "queues": ", ".join(queues),
            "status": "running",
            "healthy": "1" if healthy else "0",
            "active_task": to_bytes(", ".join(active)),
            "client": CLIENT,
        }
        self._started_at = scripts.BEAT(
            self._client,
            [self._key, self._layout.queues],
            [
                TTL,
                self._started_at,
                len(queues),
                *queues,
                *(part for pair in told.items() for part in pair),
            ],
        )

    def end(self, client: redis.Redis) -> None:
        """Takes the sign away: the worker stopped."""
        client.delete(self._key)
