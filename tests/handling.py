"""Tasks finished as workers of other languages do it, and handles asked for what went wrong."""

from __future__ import annotations

from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import TaskHandle


def finish(redis: redis_py.Redis, task_id: str, state: str = "completed", **fields: str) -> None:
    """What a worker of another language writes when it is done."""
    redis.hset(f"asynq:t:{task_id}", mapping={"state": state, **fields})


def wrong(handle: Any, timeout: float | None = 10) -> Exception:
    """What the handle raises instead of giving a result."""
    with pytest.raises(Exception) as caught:  # noqa: PT011
        handle.result(timeout)
    return caught.value


async def awaited(handle: TaskHandle) -> Any:
    return await handle
