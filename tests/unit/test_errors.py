"""What a person reads when something went wrong."""

from __future__ import annotations

import copy
import pickle

import pytest

from runqy_notebook import errors
from runqy_notebook.errors import (
    ConnectionFailedError,
    DestinationError,
    EmbeddedServerError,
    HandlerError,
    LessonError,
    LoadError,
    PayloadError,
    QueueNameError,
    ResultNotStoredError,
    RowFailedError,
    RunqyError,
    SettingsError,
    TaskConflictError,
    TaskFailedError,
    TaskStateError,
    UnknownQueueError,
    UnknownTaskError,
    UsageError,
    WaitTimeoutError,
    did_you_mean,
    one_line,
)

EVERY: list[RunqyError] = [
    SettingsError("There is no setting 'x'."),
    ConnectionFailedError("redis://host", "no server listens there", "Start one."),
    EmbeddedServerError("the disk is full", "Make room."),
    QueueNameError("a b", "use letters"),
    UnknownQueueError("image", ["images", "mail"]),
    UnknownTaskError("t1"),
    TaskConflictError("t1", "pending"),
    TaskStateError("t1", "is completed already: there is nothing to cancel."),
    PayloadError("payload['x']", "bytes is not JSON"),
    HandlerError("No handler."),
    LoadError("setup", ValueError("no model"), "Traceback ...\nValueError: no model\n"),
    TaskFailedError("t1", "q", "ValueError: boom", "Traceback ...\nValueError: boom\n"),
    RowFailedError("row 'b'", 1, ResultNotStoredError("t1")),
    WaitTimeoutError("t1", 0.5, "pending", "Start a worker."),
    ResultNotStoredError("t1"),
    DestinationError("port 22 is none of 80, 443 and 1024 to 65535"),
    LessonError("There is no worker to kill: Next starts one."),
    UsageError("Name a command."),
]


def test_every_error_is_tried_here() -> None:
    public = {
        kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, RunqyError) and not name.startswith("_")
    }

    assert public - {type(error) for error in EVERY} == {RunqyError}


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_is_one_line_that_ends_like_a_sentence(error: RunqyError) -> None:
    assert "\n" not in str(error)
    assert str(error)[-1] in ".?" or isinstance(error, TaskFailedError)
    assert error._render_traceback_()[-1] == f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("error", EVERY, ids=lambda error: type(error).__name__)
def test_an_error_survives_the_way_to_another_process(error: RunqyError) -> None:
    for same in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert type(same) is type(error)
        assert str(same) == str(error)
        assert {k: str(v) for k, v in vars(same).items()} == {
            k: str(v) for k, v in vars(error).items()
        }


@pytest.mark.parametrize(
    "error", [e for e in EVERY if not isinstance(e, (LoadError, TaskFailedError))], ids=type
)
def test_in_a_cell_an_error_has_no_traceback(error: RunqyError) -> None:
    assert len(error._render_traceback_()) == 1


def test_errors_of_the_users_own_code_show_their_traceback() -> None:
    error = TaskFailedError("t1", "q", "ValueError: boom", "Traceback:\n  line 1\nValueError: boom")

    assert error._render_traceback_() == [
        "Traceback:",
        "  line 1",
        "ValueError: boom",
        "TaskFailedError: Task 't1' in q failed and is archived: ValueError: boom",
    ]


def test_a_cancelled_task_did_not_fail() -> None:
    assert str(TaskFailedError("t1", "q", "cancelled")) == "Task 't1' in q was cancelled."


def test_a_loader_is_told_with_what_it_raised() -> None:
    assert str(LoadError("setup", FileNotFoundError("model.pt"), "")) == (
        "The @load function 'setup' raised FileNotFoundError (model.pt); the worker did not "
        "start. Mend the function, define it again and start the worker again."
    )


def test_a_loaders_error_may_have_nothing_to_say_or_fail_at_it() -> None:
    class SilentError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "raised KeyboardInterrupt; the" in str(LoadError("setup", KeyboardInterrupt(), ""))
    assert "raised SilentError; the" in str(LoadError("setup", SilentError(), ""))


def test_a_wait_that_ended_too_early_is_a_time_out_like_any_other() -> None:
    with pytest.raises(TimeoutError, match=r"Task 't1' is still pending after 0.5 s. Start one."):
        raise WaitTimeoutError("t1", 0.5, "pending", "Start one.")


def test_a_task_between_two_attempts_tells_why() -> None:
    error = WaitTimeoutError("t1", 5, "retry", "Wait longer.", "ValueError: boom")

    assert str(error) == (
        "Task 't1' is still waiting for another attempt after 5 s (the last attempt failed: "
        "ValueError: boom). Wait longer."
    )


def test_an_unknown_queue_is_told_with_those_there_are() -> None:
    assert str(UnknownQueueError("image", ["mail", "images"])) == (
        "No queue 'image' in this Redis. Known queues: images, mail. Did you mean 'images'?"
    )
    assert str(UnknownQueueError("x", [])) == "No queue 'x' in this Redis. Known queues: none yet."
    assert "q19 and 5 more." in str(UnknownQueueError("x", [f"q{n:02}" for n in range(25)]))


def test_strangers_text_is_shown_on_one_line_without_control_characters() -> None:
    assert one_line("a\n\tb\x1b[31mc\u200b\ud800") == "a b[31mc"
    assert one_line("x" * 400) == "x" * 299 + "…"
    assert "\x1b" not in str(UnknownTaskError("\x1b[2J"))


def test_a_hint_is_given_only_where_something_is_near() -> None:
    assert did_you_mean("pendign", ["pending", "active"]) == " Did you mean 'pending'?"
    assert did_you_mean("xyz", ["pending", "active"]) == ""
