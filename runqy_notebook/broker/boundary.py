"""Redis errors become sentences at the edge of this layer."""

from __future__ import annotations

import redis

from runqy_notebook.broker.explain import explain

_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError)
"""Other classes of theirs say that somebody is there: NOAUTH."""


class explained:  # noqa: N801 - used as a function is
    """Raises ConnectionFailedError, with cause and remedy, for what redis-py or the network
    raises inside; `where` is the server's masked URL. A class, as it surrounds every call.
    """

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (redis.RedisError, OSError)):
            failure = explain(error, self._where)
            failure.is_refusal = isinstance(error, redis.ResponseError)
            failure.is_away = isinstance(error, OSError) or type(error) in _AWAY
            raise failure from None  # redis-py quotes what it sent
