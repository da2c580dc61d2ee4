"""A client that reaches its server by another address, such as a proxy's."""

from __future__ import annotations

from typing import Any

import redis

from runqy_notebook.broker.impatient import is_in_process

Address = tuple[str, int]


def upstream_of(client: redis.Redis) -> Address | str | None:
    """Where the client's server is reached: host and port, or the path of a socket; None where no
    proxy can stand in between: it speaks TLS, or is inside this process.
    """
    if is_in_process(client):
        return None
    pool = client.connection_pool
    if issubclass(pool.connection_class, redis.SSLConnection):
        return None
    options = pool.connection_kwargs
    path = options.get("path")
    return str(path) if path else (str(options["host"]), int(options["port"]))


def detoured(client: redis.Redis, *, name: str, by: Address | None, patience: float) -> redis.Redis:
    """A client of the same server whose connections are called `name`; by that address where one is
    given. It gives up on an answer after `patience` seconds and never asks twice.
    """
    pool = client.connection_pool
    options: dict[str, Any] = dict(pool.connection_kwargs)
    kind = pool.connection_class
    options |= {"client_name": name, "socket_timeout": patience}
    if by is not None:
        options.pop("path", None)
        options |= {"host": by[0], "port": by[1]}
        kind = redis.Connection
    return redis.Redis(connection_pool=redis.ConnectionPool(connection_class=kind, **options))
