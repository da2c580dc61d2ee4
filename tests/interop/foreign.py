"""The other side, in plain redis-py: producers, pollers and a worker that know nothing of ours.

They make the calls that runqy's documents show and that were recorded from its workers, in the
same order.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from tests.waiting import wait_until


def put(redis: Redis, queue: str, payload: Mapping[str, Any], max_retry: int = 3) -> str:
    """Puts one task into a queue, as a Python producer does; gives its id."""
    task_id = str(uuid.uuid4())
    write_hash(redis, task_id, queue, json.dumps(payload), max_retry)
    push(redis, task_id, queue)
    return task_id


def write_hash(redis: Redis, task_id: str, queue: str, payload: str, max_retry: int = 3) -> None:
    """The first call of a producer: the five fields."""
    redis.hset(
        f"asynq:t:{task_id}",
        mapping={
            "type": "task",
            "payload": payload,
            "retry": "0",
            "max_retry": str(max_retry),
            "queue": queue,
        },
    )


def push(redis: Redis, task_id: str, queue: str) -> None:
    """The second call of a producer."""
    redis.lpush(f"asynq:{queue}:pending", task_id)


def poll_result(redis: Redis, task_id: str, seconds: float = 10.0) -> Any:
    """A task's stored result, asked for until it is there."""
    key = f"asynq:result:{task_id}"
    wait_until(lambda: redis.get(key), f"{key} was not written", seconds)
    return json.loads(redis.get(key))


def fields(redis: Redis, task_id: str) -> dict[str, str]:
    """The task's hash as text."""
    return {k.decode(): v.decode() for k, v in redis.hgetall(f"asynq:t:{task_id}").items()}


def state(redis: Redis, task_id: str) -> str | None:
    """The `state` field of the task's hash."""
    return fields(redis, task_id).get("state")


@dataclass(frozen=True)
class Taken:
    """A task that the foreign worker took out of a queue."""

    id: str
    queue: str
    fields: dict[str, str]

    @property
    def payload(self) -> Any:
        return json.loads(self.fields["payload"])


@dataclass
class ForeignWorker:
    """What runqy's worker does in the documented layout, one move at a time."""

    redis: Redis
    queues: tuple[str, ...]
    taken: list[str] = field(default_factory=list)

    def take(self, seconds: float = 2.0) -> Taken | None:
        """BRPOP, HGETALL, LPUSH active, HSET state: the next task, or None when none came."""
        popped = self.redis.brpop([f"asynq:{q}:pending" for q in self.queues], timeout=seconds)
        if popped is None:
            return None
        key, task_id = popped[0].decode(), popped[1].decode()
        queue = key.removeprefix("asynq:").removesuffix(":pending")
        taken = Taken(task_id, queue, fields(self.redis, task_id))
        self.redis.lpush(f"asynq:{queue}:active", task_id)
        self.redis.hset(f"asynq:t:{task_id}", "state", "active")
        self.taken.append(task_id)
        return taken

    def complete(self, task: Taken, result: Any = None, *, store: bool = True) -> None:
        """SET result where results are stored, LREM active, HSET state completed."""
        if store:
            self.redis.set(f"asynq:result:{task.id}", json.dumps(result), ex=3600)
        self._leave_active(task)
        self.redis.hset(f"asynq:t:{task.id}", "state", "completed")

    def archive(self, task: Taken, error: str) -> None:
        """LREM active, HSET state archived with the error."""
        self._leave_active(task)
        self.redis.hset(f"asynq:t:{task.id}", mapping={"state": "archived", "error": error})

    def retry_later(self, task: Taken) -> None:
        """LREM active, HINCRBY retry, HSET state retry: the id is in no list until `requeue`."""
        self._leave_active(task)
        self.redis.hincrby(f"asynq:t:{task.id}", "retry", 1)
        self.redis.hset(f"asynq:t:{task.id}", "state", "retry")

    def requeue(self, task: Taken) -> None:
        """What the retry timer does: LPUSH pending and, only then, HSET state pending."""
        self.redis.lpush(f"asynq:{task.queue}:pending", task.id)
        self.redis.hset(f"asynq:t:{task.id}", "state", "pending")

    def beat(self, worker_id: str = "elsewhere:4711") -> None:
        """Its sign of life, with the queues as Go prints a map."""
        served = " ".join(f"{queue}:1" for queue in self.queues)
        self.redis.sadd("asynq:workers", worker_id)
        self.redis.hset(
            f"asynq:workers:{worker_id}",
            mapping={
                "worker_id": worker_id,
                "started_at": "1795304851",
                "last_beat": "1795304851",
                "concurrency": "1",
                "queues": f"map[{served}]",
                "status": "running",
                "healthy": "1",
            },
        )
        self.redis.expire(f"asynq:workers:{worker_id}", 30)

    @contextmanager
    def serving(self, handle: Callable[[Any], Any]) -> Iterator[None]:
        """Runs tasks on a thread of its own: `handle(payload)` gives each result."""
        stopping = threading.Event()

        def serve() -> None:
            while not stopping.is_set():
                if task := self.take(seconds=0.1):
                    self.complete(task, handle(task.payload))

        thread = threading.Thread(target=serve, name="foreign worker")
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()

    def _leave_active(self, task: Taken) -> None:
        self.redis.lrem(f"asynq:{task.queue}:active", 1, task.id)
