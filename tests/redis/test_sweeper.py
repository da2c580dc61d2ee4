"""Tasks for later come due without any worker of ours."""

from __future__ import annotations

import redis as redis_py

from runqy_notebook.session import Session
from tests.waiting import wait_until


def test_a_scheduled_task_comes_due_where_only_foreign_workers_serve(
    session: Session, redis: redis_py.Redis
) -> None:
    task = session.enqueue("mail_default", {"to": "a"}, delay=0.5)

    assert redis.llen("asynq:mail_default:pending") == 0
    assert task.state == "scheduled"
    wait_until(lambda: redis.lrange("asynq:mail_default:pending", 0, -1), "it never comes due")
    assert task.state == "pending"
