"""Lessons on a queue with a handler; what they start is gone at a test's end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from runqy_notebook import task
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.lesson.moves import Kind, Move
from runqy_notebook.session import Session
from tests.waiting import wait_until


@pytest.fixture
def greet() -> None:
    """A handler for the queue greet; what it does is in the payload."""

    @task(queue="greet", max_retry=1)
    def greet(payload: dict[str, Any]) -> object:
        import os
        import time

        print("hello", payload.get("name"))
        if payload.get("dies"):
            os._exit(3)
        time.sleep(payload.get("seconds", 0))
        if payload.get("bad"):
            raise ValueError("no such name")
        return {"said": payload.get("name")}


@pytest.fixture
def make_lesson(
    greet: None, make_session: Callable[..., Session]
) -> Callable[..., tuple[Session, Lesson]]:
    """A session with a lesson on the queue greet_high: a short lease, and no wait before a retry
    to speak of.
    """

    def make(**settings: Any) -> tuple[Session, Lesson]:
        session = make_session(**{"lease": 1.5, **settings})
        lesson = session.step("greet_high")
        quick = replace(lesson._stage.settings, retry_delay=0.3)
        lesson._stage.settings = quick  # before its worker starts
        return session, lesson

    return make


@pytest.fixture(autouse=True)
def _no_process_left() -> Iterator[None]:
    """No worker or guardian of a lesson outlives its test."""
    yield
    wait_until(lambda: not _children(), f"processes were left: {_children()}", 5)


def _children() -> list[str]:
    import psutil

    mine = psutil.Process(os.getpid()).children(recursive=True)
    return [
        f"{each.pid} {' '.join(each.cmdline())}"
        for each in mine
        if "runqy_notebook.lesson.inside" in each.cmdline() or "guardian.py" in str(each.cmdline())
    ]


def until(lesson: Lesson, kind: Kind, most: int = 8) -> Move:
    """Makes moves until one is of this kind; gives it."""
    for _ in range(most):
        move = lesson.next()
        if move.kind is kind:
            return move
    raise AssertionError(f"no {kind} among {[each.kind for each in lesson.moves]}")
