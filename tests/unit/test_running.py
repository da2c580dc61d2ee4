"""`current_task()`, without a worker."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runqy_notebook import CancelledTaskError, CurrentTask, RunqyError, current_task
from runqy_notebook.running import CURRENT
from runqy_notebook.wire.documented import Task

TASK = Task("t1", "mail_high", b"token", b'{"n": [1]}', type="send", retry=1, max_retry=3)


class Heard:
    """A report that keeps what it was told."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def write(self, stream: str, text: str) -> None:
        self.said.append((stream, text))

    def progress(self, done: float, total: float, note: str) -> None:
        self.said.append((done, total, note))

    def show(self, data: Any, display_id: str = "") -> None:
        self.said.append((data, display_id))


@contextmanager
def handling(report: Heard | None = None, *, is_cancelled: bool = False) -> Iterator[None]:
    token = CURRENT.set(CurrentTask(TASK, report, lambda: is_cancelled))
    yield
    CURRENT.reset(token)


def test_a_handler_knows_its_task() -> None:
    with handling():
        task = current_task()

    assert (task.id, task.queue, task.type) == ("t1", "mail_high", "send")
    assert (task.attempt, task.attempts) == (2, 4)
    assert task.payload == {"n": [1]}
    assert repr(task) == "<CurrentTask t1 in mail_high, attempt 2 of 4>"


def test_outside_a_handler_it_is_a_sentence() -> None:
    with pytest.raises(RunqyError, match="no task is running here"):
        current_task()


def test_a_copied_context_knows_the_task_too() -> None:
    ids: list[str] = []
    with handling():
        context = contextvars.copy_context()

    thread = threading.Thread(target=context.run, args=(lambda: ids.append(current_task().id),))
    thread.start()
    thread.join()

    assert ids == ["t1"]


def test_progress_and_lines_go_to_the_report() -> None:
    heard = Heard()
    with handling(heard):
        current_task().progress(3, 10, "three\nof ten")
        current_task().progress(4)
        current_task().log("loss", 0.5)

    assert heard.said == [(3.0, 10.0, "three of ten"), (4.0, 0.0, ""), ("log", "loss 0.5\n")]


def test_inline_they_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with handling():
        current_task().progress(3, 10, "reading")
        current_task().log("loss", 0.5)

    assert capsys.readouterr().out == "3 of 10 reading\nloss 0.5\n"


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("3",), "done is a number, not '3'"),
        ((True,), "done is a number, not True"),
        ((-1,), "done is a number from 0, not -1"),
        ((float("nan"), 3), "done is a number from 0, not nan"),
        ((1, float("inf")), "total is a number from 0, not inf"),
        ((1, "x" * 500), "total is a number, not 'xxx"),
        ((1, 2, 3), "note is text, not 3"),
    ],
)
def test_progress_that_is_none_is_one_line(arguments: tuple[Any, ...], problem: str) -> None:
    with handling(Heard()), pytest.raises(RunqyError) as caught:
        current_task().progress(*arguments)

    assert str(caught.value).startswith(f"progress: {problem}")
    assert len(str(caught.value)) < 200


def test_a_cancelled_task_says_so() -> None:
    with handling():
        assert not current_task().cancelled
        current_task().check()
    with handling(is_cancelled=True):
        assert current_task().cancelled
        with pytest.raises(CancelledTaskError):
            current_task().check()
