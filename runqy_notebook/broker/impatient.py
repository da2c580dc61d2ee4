"""A client with connections of its own, made as those of another client are.

A worker that waits 30 s for an answer has lost its leases by then; and when it stops, nobody should
wait for a server that is gone. What it asks may be asked again, so it need not be patient.
"""

from __future__ import annotations

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

_OF_THE_POOL = ("maint_", "orig_", "himport_")  # what redis-py 8 adds for the pool itself
_MANY = 10_000  # redis-py 8 allows 100 connections unless told


def is_in_process(client: redis.Redis) -> bool:
    """Whether `client` is of the stand-in server inside this process (fakeredis)."""
    return "fake" in type(client).__name__.lower()


def impatient_client(client: redis.Redis, patience: float) -> redis.Redis:
    """A client of the same server that gives up on an answer, or on a new connection, after
    `patience` seconds; the client itself where there is no server.
    """
    if is_in_process(client):
        return client
    pool = client.connection_pool
    options = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(_OF_THE_POOL)
    }
    connect = options.get("socket_connect_timeout")
    options["retry"] = Retry(NoBackoff(), 0)  # a retried command may lose a task with its reply
    options["socket_timeout"] = patience
    options["socket_connect_timeout"] = patience if connect is None else min(connect, patience)
    own = redis.ConnectionPool(
        connection_class=pool.connection_class, max_connections=_MANY, **options
    )
    return redis.Redis(connection_pool=own)
