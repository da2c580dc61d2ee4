"""The fewest plain redis-py calls for the documented keys: what everything is compared with.

No lease, no retry, no state, no record of what finished: a task that was running when the process
died stays in `active` for ever.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any
from uuid import uuid4

import redis

QUEUE = "bench_default"
PENDING, ACTIVE = f"asynq:{QUEUE}:pending", f"asynq:{QUEUE}:active"
TASKS, RESULTS = "asynq:t:", "asynq:result:"


def put(pipe: redis.client.Pipeline, payload: object, queue: str = QUEUE) -> str:
    """Has the pipeline enqueue one task, and gives its id."""
    task_id = str(uuid4())
    task = {
        "type": "task",
        "payload": json.dumps(payload),
        "retry": 0,
        "max_retry": 3,
        "queue": queue,
    }
    pipe.hset(TASKS + task_id, mapping=task)
    pipe.lpush(f"asynq:{queue}:pending", task_id)
    return task_id


def enqueue(client: redis.Redis, payload: object) -> str:
    """One task, in one round trip."""
    pipe = client.pipeline(transaction=False)
    task_id = put(pipe, payload)
    pipe.execute()
    return task_id


def enqueue_many(
    client: redis.Redis, payloads: Iterable[object], batch: int = 500, queue: str = QUEUE
) -> None:
    """So many tasks a round trip."""
    pipe = client.pipeline(transaction=False)
    for number, payload in enumerate(payloads, 1):
        put(pipe, payload, queue)
        if number % batch == 0:
            pipe.execute()
    pipe.execute()


def run_next(
    client: redis.Redis,
    handler: Callable[[Any], object],
    finish: Callable[[redis.client.Pipeline, str, object], object] = lambda pipe, key, value: None,
) -> None:
    """Takes a task, runs it, takes it off; `finish` may add to the last round trip."""
    task_id = client.blmove(PENDING, ACTIVE, 0, "RIGHT", "LEFT")
    task = client.hgetall(TASKS + task_id.decode())
    value = handler(json.loads(task[b"payload"]))
    pipe = client.pipeline(transaction=False)
    pipe.lrem(ACTIVE, 1, task_id)
    pipe.delete(TASKS + task_id.decode())
    finish(pipe, task_id.decode(), value)
    pipe.execute()


def store(pipe: redis.client.Pipeline, task_id: str, value: object) -> None:
    """Keeps the result for an hour."""
    pipe.set(RESULTS + task_id, json.dumps(value), ex=3600)


def listed(client: redis.Redis) -> list[dict[bytes, bytes]]:
    """Every pending task as a dict, the next to run first."""
    ids = client.lrange(PENDING, 0, -1)[::-1]
    pipe = client.pipeline(transaction=False)
    for task_id in ids:
        pipe.hgetall(TASKS.encode() + task_id)
    return [{b"id": task_id, **task} for task_id, task in zip(ids, pipe.execute(), strict=True)]


def timed(work: Callable[[], object]) -> float:
    """The seconds that it takes."""
    begins = time.perf_counter()
    work()
    return time.perf_counter() - begins


def clocked(client: redis.Redis, tasks: int, work: Callable[[], float]) -> dict[str, float]:
    """Tasks a second by the seconds that `work` says, and the microseconds of processor time that
    a task cost this process and the server: other programs disturb those less.
    """
    server, own = server_cpu(client), time.process_time()
    seconds = work()
    own, server = time.process_time() - own, server_cpu(client) - server
    return {"rate": tasks / seconds, "client": own / tasks * 1e6, "server": server / tasks * 1e6}


def server_cpu(client: redis.Redis) -> float:
    """The seconds of processor time that the server has used."""
    told = client.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])
