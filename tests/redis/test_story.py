"""What is known of a task after a restart, or in another kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis as redis_py

from runqy_notebook import Session, current_task, task
from runqy_notebook.errors import TaskFailedError, UnknownTaskError
from tests.handling import finish, wrong
from tests.waiting import wait_until


def test_a_finished_task_is_told_with_its_stored_result(
    make_session: Callable[..., Session],
) -> None:
    @task(queue="q")
    def act(payload: Any) -> dict[str, int]:
        print("half-way")
        current_task().progress(1, 2, "still at it")
        return {"n": payload["n"] + 1}

    before, after = make_session(), make_session()
    worker = before.start_worker("q", store_results=True)
    before.enqueue("q", {"n": 1}, id="t1").wait(timeout=10)

    story = after.story("t1")

    assert story.result == b'{"n":2}'
    assert story.record.state == "completed"
    wait_until(lambda: after.story("t1").said.lines, "its log is not kept")
    said = after.story("t1").said
    assert (said.lines, said.done, said.total, said.note) == (("half-way",), 1, 2, "still at it")
    assert story.record.worker == worker.id
    assert story.record.starts == 1
    assert after.attach("t1").result(timeout=10) == {"n": 2}


def test_a_failed_task_is_told_with_its_error(make_session: Callable[..., Session]) -> None:
    @task(queue="q", max_retry=0)
    def act(payload: object) -> None:
        raise ValueError("boom")

    before, after = make_session(), make_session()
    before.start_worker("q")
    wrong(before.enqueue("q", {}, id="t1"))

    story = after.story("t1")

    assert (story.record.state, story.record.error) == ("archived", "ValueError: boom")
    assert isinstance(wrong(after.attach("t1"), 0), TaskFailedError)


def test_a_result_of_an_earlier_run_is_not_told(session: Session, redis: redis_py.Redis) -> None:
    session.enqueue("q", {}, id="t1")
    redis.set("asynq:result:t1", "1")
    assert session.story("t1").result is None

    finish(redis, "t1")
    redis.delete("asynq:q:pending")

    assert session.story("t1").result == b"1"


def test_an_unknown_task_has_no_story(session: Session) -> None:
    with pytest.raises(UnknownTaskError):
        session.story("nope")
