"""`@task` and `@load`: what they take, and what a handler may ask for."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from runqy_notebook.errors import HandlerError, QueueNameError, RunqyNotice
from runqy_notebook.tasks import REGISTRY, Fail, Retry, load, task


class Model:
    def predict(self, payload: dict[str, Any]) -> int:
        return 1

    def predict_with(self, payload: dict[str, Any], ctx: object) -> int:
        return 2

    def load(self) -> object:
        return self


def refusal(define: Callable[[], object], kind: type[Exception] = HandlerError) -> str:
    with pytest.raises(kind) as caught:
        define()
    return str(caught.value)


def takes_context(function: Callable[..., Any]) -> bool:
    task(queue="q")(function)
    handler = REGISTRY.handler_for("q")
    assert handler is not None
    return handler.takes_context


# --- the decorators -------------------------------------------------------------------------------


def test_a_bare_task_serves_every_queue() -> None:
    @task
    def handle(payload: dict[str, Any]) -> None: ...

    handler = REGISTRY.handler_for("anything_high")
    assert handler is not None
    assert handler.function is handle
    assert handler.queue is None


def test_empty_parentheses_change_nothing() -> None:
    @task()
    def handle(payload: dict[str, Any]) -> None: ...

    @load()
    def setup() -> None: ...

    assert REGISTRY.has_plain_handler()
    assert REGISTRY.loader_for("anything") is not None


def test_what_a_task_says_about_itself_is_kept() -> None:
    @task(queue="mail", type="send", max_retry=5, timeout=30, store_result=True)
    def handle(payload: dict[str, Any]) -> None: ...

    handler = REGISTRY.handler_for("mail", "send")
    assert handler is not None
    assert (handler.queue, handler.type, handler.max_retry) == ("mail", "send", 5)
    assert (handler.timeout, handler.store_result) == (30.0, True)
    assert handler.name.endswith("handle")


@pytest.mark.parametrize("timeout", [90, timedelta(minutes=1, seconds=30), "1m30s"])
def test_a_time_limit_may_be_given_in_several_ways(timeout: Any) -> None:
    task(timeout=timeout)(lambda payload: None)

    handler = REGISTRY.handler_for("q")
    assert handler is not None
    assert handler.timeout == 90.0


def test_the_function_is_left_as_it_is() -> None:
    def handle(payload: dict[str, Any]) -> int:
        return 1

    assert task(handle) is handle
    assert task(queue="q")(handle) is handle
    assert load(Model().load)() is not None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"queues": "a"}, "@task has no option 'queues'; it takes queue, type, max_retry, timeout, "
         "store_result, deliver_to. Did you mean 'queue'?"),
        ({"max_retry": -1}, "@task: max_retry must be a whole number from 0, not -1."),
        ({"max_retry": 2.5}, "@task: max_retry must be a whole number from 0, not 2.5."),
        ({"max_retry": "3"}, "@task: max_retry must be a whole number from 0, not '3'."),
        ({"max_retry": True}, "@task: max_retry must be a whole number from 0, not True."),
        ({"timeout": 0}, "@task: timeout must be a number of seconds from 0.001, not 0."),
        ({"timeout": float("inf")}, "@task: timeout must be a number of seconds from 0.001, not i"),
        ({"timeout": [30]}, "@task: timeout must be a number of seconds from 0.001, not [30]."),
        ({"type": ""}, "@task: type must be 1 to 200 printable characters, not ''."),
        ({"type": 5}, "@task: type must be 1 to 200 printable characters, not 5."),
        ({"store_result": "yes"}, "@task: store_result must be True or False, not 'yes'."),
    ],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any], told: str) -> None:
    assert refusal(lambda: task(**options)).startswith(told)


def test_a_queue_has_to_have_a_queues_name() -> None:
    assert "'a b' is not a queue name" in refusal(lambda: task(queue="a b"), QueueNameError)
    assert "5 is not a queue name" in refusal(lambda: load(queue=5), QueueNameError)  # type: ignore[call-overload]


def test_load_takes_a_queue_and_nothing_else() -> None:
    assert refusal(lambda: load(timeout=3)) == (  # type: ignore[call-overload]
        "@load has no option 'timeout'; it takes queue."
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("inference", "@task marks a function, not 'inference'; write @task or "
         "@task(queue='inference') above a def."),
        (42, "@task marks a function, not 42; write @task or @task(queue=...) above a def."),
        (classmethod(lambda cls, payload: None), "@task marks a function, not <classmethod("),
    ],
)  # fmt: skip
def test_what_is_no_function_is_refused(given: Any, told: str) -> None:
    assert refusal(lambda: task(given)).startswith(told)
    assert REGISTRY.queues() == []
    assert not REGISTRY.has_plain_handler()


# --- once more ------------------------------------------------------------------------------------


def defined_in(cell: str) -> None:
    exec(compile(cell, "<cell>", "exec"), {"__name__": "__main__", "task": task, "load": load})


def test_running_a_cell_again_swaps_the_handler_in_silence() -> None:
    defined_in("@task\ndef handle(payload): return 1\n@load\ndef setup(): return 1")
    before = REGISTRY.version

    defined_in("@task\ndef handle(payload): return 2\n@load\ndef setup(): return 2")

    handler, loader = REGISTRY.handler_for("q"), REGISTRY.loader_for("q")
    assert handler is not None
    assert loader is not None
    assert (handler.function({}), loader.function()) == (2, 2)
    assert REGISTRY.version > before


@pytest.mark.parametrize(
    ("option", "of"),
    [
        ("", "every queue without one of its own"),
        ("(queue='mail')", "queue 'mail'"),
        ("(queue='mail', type='send')", "queue 'mail' and type 'send'"),
    ],
)
def test_another_handler_for_the_same_tasks_is_told(option: str, of: str) -> None:
    defined_in(f"@task{option}\ndef first(payload): ...")

    with pytest.warns(RunqyNotice) as told:
        defined_in(f"@task{option}\ndef second(payload): ...")

    assert str(told[0].message) == (
        f"The handler 'second' replaces 'first' for {of}. Give them queues of their own, with "
        "queue=..., where both are needed."
    )
    handler = REGISTRY.handler_for("mail", "send")
    assert handler is not None
    assert handler.name == "second"


def test_another_loader_for_the_same_queue_is_told() -> None:
    defined_in("@load\ndef first(): ...")

    with pytest.warns(RunqyNotice, match="The @load function 'second' replaces 'first'"):
        defined_in("@load\ndef second(): ...")


def test_lambdas_are_told_apart_by_what_they_do() -> None:
    defined_in("task(lambda payload: 1)")
    defined_in("task(lambda payload: 1)")

    with pytest.warns(RunqyNotice, match="'<lambda>' replaces '<lambda>'"):
        defined_in("task(lambda payload: 2)")


def test_handlers_for_different_queues_or_types_live_side_by_side() -> None:
    defined_in("@task\ndef plain(payload): ...")
    defined_in("@task(queue='mail')\ndef mail(payload): ...")
    defined_in("@task(queue='mail', type='send')\ndef send(payload): ...")
    defined_in("@task(type='send')\ndef any_send(payload): ...")

    assert REGISTRY.queues() == ["mail"]


@pytest.mark.parametrize("decorator", ["@task", "@task()"])
def test_the_notice_points_to_the_line_that_defines_the_handler(
    decorator: str, tmp_path: Path
) -> None:
    cell = f"{decorator}\ndef first(payload): ...\n{decorator}\ndef second(payload): ...\n"

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        defined_in(cell)

    assert told[0].filename == "<cell>"
    assert told[0].lineno in (3, 4)


# --- what a handler may ask for -------------------------------------------------------------------


@pytest.mark.parametrize("asked", [90, timedelta(seconds=90), "90s"])
def test_a_retry_says_when(asked: Any) -> None:
    assert Retry(asked).in_seconds == 90.0
    assert Retry().in_seconds is None
    assert Retry(5, "the printer is busy").why == "the printer is busy"


@pytest.mark.parametrize("asked", ["soon", -1, float("nan"), True, object()])
def test_a_retry_at_no_time_is_the_handlers_error(asked: Any) -> None:
    with pytest.raises(ValueError, match="must be a number of seconds from 0"):
        Retry(asked)


def test_a_handler_may_give_up() -> None:
    assert str(Fail("no such customer")) == "no such customer"
