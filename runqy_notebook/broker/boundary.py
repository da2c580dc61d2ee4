"""Redis errors become sentences at the edge of this layer."""

from __future__ import annotations

from typing import Final

import redis

from runqy_notebook.broker.explain import explain
from runqy_notebook.errors import ConnectionFailedError

FAILURES: Final = (redis.RedisError, OSError)
"""What redis-py and the network raise."""

_AWAY = (redis.ConnectionError, redis.TimeoutError, redis.BusyLoadingError)
"""Other classes of theirs say that somebody is there: NOAUTH."""


class explained:  # noqa: N801 - used as a function is
    """Raises ConnectionFailedError, with cause and remedy, for what redis-py or the network
    raises inside; `where` is the server's masked URL. A class, as it surrounds most calls.
    """

    __slots__ = ("_where",)

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        """Nothing is to be done."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FAILURES):
            raise failure_of(error, self._where) from None  # redis-py quotes what it sent


def failure_of(error: Exception, where: str) -> ConnectionFailedError:
    """What to raise for one of the FAILURES."""
    failure = explain(error, where)
    failure.is_refusal = isinstance(error, redis.ResponseError)
    failure.is_away = isinstance(error, OSError) or type(error) in _AWAY
    return failure
