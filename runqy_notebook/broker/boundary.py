"""Redis errors become sentences at the edge of this layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from runqy_notebook.broker.explain import explain


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Raises ConnectionFailedError, with cause and remedy, for what redis-py or the network
    raises inside; `where` is the server's masked URL.
    """
    try:
        yield
    except (redis.RedisError, OSError) as error:
        failure = explain(error, where)
        failure.is_refusal = isinstance(error, redis.ResponseError)
        raise failure from None  # redis-py quotes what it sent
