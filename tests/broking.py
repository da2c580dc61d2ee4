"""Tasks in Redis, as tests put them there, take them out and find them again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import redis as redis_py

from runqy_notebook.broker import scripts
from runqy_notebook.broker.broker import Broker
from runqy_notebook.broker.channels import Channels
from runqy_notebook.broker.exchanges import Exchange, Retention, Settled, SweepEvent
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.layout import DOCUMENTED, to_bytes
from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome, Released, Retried

QUEUE = "mail_default"
BASE = f"asynq:{QUEUE}:"
SETS = ("retry", "scheduled", "archived", "completed")
_nonces = itertools.count(1)


def broker_of(client: redis_py.Redis, **kept: float | str) -> Broker:
    """A broker that keeps finished tasks as `kept` says, by default for a long time."""
    defaults: dict[str, Any] = {
        "completed_ttl": 3600.0,
        "completed_cap": 1000,
        "archived_ttl": 7200.0,
        "archived_cap": 1000,
    }
    return Broker(client, "the test server", Retention(**{**defaults, **kept}))


def push(client: redis_py.Redis, task_id: str | bytes, queue: str = QUEUE, **fields: Any) -> None:
    """What foreign producers do: HSET the hash, LPUSH the id."""
    recipe = {"type": "task", "payload": "{}", "retry": "0", "max_retry": "3", "queue": queue}
    key = b"asynq:t:" + (task_id if isinstance(task_id, bytes) else task_id.encode())
    client.hset(key, mapping={**recipe, **fields})
    client.lpush(f"asynq:{queue}:pending", task_id)


def enqueue(broker: Broker, *ids: str, queue: str = QUEUE, **options: Any) -> set[int]:
    entries = [(task_id, b"{}") for task_id in ids]
    return broker.enqueue(queue, entries, {"type": "task"}, **options).existed


def exchange(
    *outcomes: Outcome, queues: tuple[str, ...] = (), want: int = 0, slot: str = "w/1"
) -> Exchange:
    return Exchange(slot, f"{slot}:{next(_nonces)}", outcomes, queues, want)


def claim(
    broker: Broker, *queues: str, want: int = 1, lease: float = 15.0, slot: str = "w/1"
) -> list[Task]:
    """Takes up to `want` tasks as a slot does."""
    asked = exchange(queues=queues or (QUEUE,), want=want, slot=slot)
    return broker.settle(asked, lease=lease).tasks


def settle(broker: Broker, *outcomes: Outcome, slot: str = "w/1") -> list[str]:
    """Writes outcomes down; the answer to each."""
    return settled(broker, *outcomes, slot=slot).answers


def settled(broker: Broker, *outcomes: Outcome, slot: str = "w/1") -> Settled:
    return broker.settle(exchange(*outcomes, slot=slot), lease=15.0)


def done(task: Task, result: bytes = b"", result_ttl: float = 60.0) -> Completed:
    return Completed(task, None, result, result_ttl)


def retried(task: Task, delay: float = 60.0) -> Retried:
    return Retried(task, "it failed", delay)


def archived(task: Task) -> Archived:
    return Archived(task, "it failed for good")


def released(task: Task) -> Released:
    return Released(task)


def crashed(task: Task) -> Crashed:
    return Crashed(task, "the process that ran it ended")


def lose(
    client: redis_py.Redis,
    *held: tuple[Task, int],
    slots: Sequence[str] = (),
    limit: int = 3,
    ttl: float = 7200.0,
    cap: int = 1000,
) -> list[str]:
    """What a guardian does when its kernel died: the answer for each task. Each has its blame,
    as in guardian.py; what else `slots` had claimed comes back too.
    """
    queues = list(dict.fromkeys(task.queue for task, _ in held))
    rows = [
        part
        for task, blame in held
        for part in (queues.index(task.queue) + 1, to_bytes(task.id), task.token, blame)
    ]
    replies = [f"asynq:nb:reply:{slot}" for slot in slots]
    bases = [f"asynq:{queue}:" for queue in queues]
    keys = ["asynq:nb:trimmed", "asynq:nb:killers", "asynq:nb:outbox", *replies, *bases]
    terms = Retention(3600, 1000, ttl, cap, limit).terms(DOCUMENTED)
    news = Channels(client, DOCUMENTED).news("")
    answers: Any = scripts.LOSE(
        client, keys, ["asynq:t:", ttl, cap, limit, news, terms, len(slots), *rows]
    )
    return [word.decode() for word in answers]


def sweep(broker: Broker, *queues: str, second_look: float = 0.0) -> list[SweepEvent]:
    """One sweep now, however short a time ago the last one was."""
    broker.client.delete("asynq:nb:swept")
    return broker.sweep(queues or (QUEUE,), second_look=second_look)


def end_lease(client: redis_py.Redis, task_id: str | bytes, queue: str = QUEUE) -> None:
    """As if the worker had been silent for long."""
    assert client.zadd(f"asynq:{queue}:lease", {task_id: 1.0}, xx=True, ch=True)


def let_waiting_be_due(client: redis_py.Redis) -> None:
    """As if everything in the waiting room had waited for long enough."""
    for member in client.zrange("asynq:nb:waiting", 0, -1):
        client.zadd("asynq:nb:waiting", {member: 1.0})


def places(client: redis_py.Redis, task_id: str, queue: str = QUEUE) -> list[str]:
    """Every place of the queue that holds the id, one entry for each time it does."""
    base, wanted = f"asynq:{queue}:", task_id.encode()
    found = [
        name
        for name in ("pending", "active")
        for each in client.lrange(base + name, 0, -1)
        if each == wanted
    ]
    found += [name for name in ("lease", *SETS) if client.zscore(base + name, task_id) is not None]
    waits = [m for m in client.zrange("asynq:nb:waiting", 0, -1) if m.startswith(base.encode())]
    return found + ["waiting" for member in waits if member.split(b"|", 2)[2] == wanted]


def field(client: redis_py.Redis, task_id: str, name: str) -> bytes | None:
    value: Any = client.hget(f"asynq:t:{task_id}", name)
    return value  # type: ignore[no-any-return]
