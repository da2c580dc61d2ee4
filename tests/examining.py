"""The doctor at work in tests: what it finds, and what it is given to find."""

from __future__ import annotations

from typing import Any

import redis as redis_py

from runqy_notebook.broker.doctor import Doctor, Finding, Kind
from runqy_notebook.wire.layout import DOCUMENTED
from tests.broking import QUEUE
from tests.interop.foreign import ForeignWorker

DOUBTS = "asynq:nb:doubts"


def problems(doctor: Doctor, patience: float = 0.0, **options: Any) -> list[Finding]:
    """What is not just a note, as somebody who serves every queue sees it."""
    options = {"served": ["mail", "a", "b"], **options}
    return [each for each in doctor.examine(patience=patience, **options) if not each.is_note]


def notes(doctor: Doctor, **options: Any) -> list[Finding]:
    """The notes, without those on the server."""
    found = doctor.examine(**{"patience": 0.0, "served": ["mail"], **options})
    return [each for each in found if each.is_note and each.kind is not Kind.SERVER]


def twice(doctor: Doctor, **options: Any) -> list[Finding]:
    """What a second look finds, at once after the first."""
    problems(doctor)
    return problems(doctor, **options)


def only(findings: list[Finding], kind: Kind, task_id: str | None = None) -> Finding:
    """The one finding, which is of this kind."""
    assert [(each.kind, each.task_id) for each in findings] == [(kind, task_id)]
    return findings[0]


def write(redis: redis_py.Redis, task_id: str, **fields: str) -> None:
    """A task hash alone, as it is after a BRPOP."""
    recipe = {"type": "task", "payload": "{}", "retry": "0", "max_retry": "3", "queue": QUEUE}
    redis.hset(DOCUMENTED.task(task_id), mapping={**recipe, **fields})


def lose(redis: redis_py.Redis, task_id: str, **fields: str) -> None:
    """A task that was taken out of pending by somebody who then died."""
    write(redis, task_id, **fields)


def repaired(doctor: Doctor, kind: Kind) -> str:
    """The result of the one repair of this kind."""
    (found,) = [each for each in doctor.examine(patience=0, repair=True) if each.kind is kind]
    return found.result


def snapshot(redis: redis_py.Redis) -> dict[bytes, Any]:
    """Everything that Redis holds, but for doubts."""
    return {key: redis.dump(key) for key in redis.scan_iter() if key != DOUBTS.encode()}


def beat(redis: redis_py.Redis, *names: str) -> ForeignWorker:
    """A foreign worker that lives."""
    worker = ForeignWorker(redis, names or (QUEUE,))
    worker.beat()
    return worker
