"""From a task to its outcome, without Redis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from runqy_notebook.broker.ledger import Ledger
from runqy_notebook.errors import HandlerError
from runqy_notebook.registry import Registry
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import Fail, Retry
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.outcomes import Archived, Completed, Outcome, Retried
from runqy_notebook.worker.contexts import Contexts, SlotLoop
from runqy_notebook.worker.leash import Leash
from runqy_notebook.worker.run import ERROR_LIMIT, HandlerTimeout, Run, Runner, describe
from tests.working import add_loader, registry_of

TASK = Task("t1", "mail_default", b"token", payload=b'{"x": 2}', max_retry=3)


def run(handler: Callable[..., Any], task: Task = TASK, **settings: Any) -> Outcome:
    return run_by(registry_of(handler), task, **settings)


def run_by(
    registry: Registry, task: Task = TASK, leash: Leash | None = None, **settings: Any
) -> Outcome:
    runner = Runner(registry, Contexts(), replace(Settings(), **settings), lambda text: None)
    loop, ledger = SlotLoop(), Ledger()
    try:
        return runner.run(Run(task, loop, leash or Leash(), ledger.entry(1)))
    finally:
        loop.close()
        ledger.close()


def fails(payload: object) -> None:
    raise ValueError("broken")


def test_the_value_of_a_handler_is_its_outcome() -> None:
    assert run(lambda payload: payload["x"] + 1) == Completed(TASK, 3)


def test_the_value_of_an_async_handler_too() -> None:
    async def handler(payload: dict[str, int]) -> int:
        return payload["x"] + 1

    assert run(handler) == Completed(TASK, 3)


def test_a_result_is_encoded_where_it_is_to_be_stored() -> None:
    outcome = run(lambda payload: {"y": 1}, store_results=True, result_ttl=77.0)

    assert outcome == Completed(TASK, {"y": 1}, b'{"y":1}', 77.0)
    outcome = run(lambda payload: 1, TASK._replace(store=True, result_ttl=5.0))
    assert outcome == Completed(TASK._replace(store=True, result_ttl=5.0), 1, b"1", 5.0)


@pytest.mark.parametrize(
    ("retry", "max_retry", "kind"),
    [(0, 3, Retried), (2, 3, Retried), (3, 3, Archived), (0, 0, Archived)],
)
def test_a_failure_is_retried_while_there_are_retries_left(
    retry: int, max_retry: int, kind: type
) -> None:
    outcome = run(fails, TASK._replace(retry=retry, max_retry=max_retry))

    assert isinstance(outcome, kind)
    assert isinstance(outcome, (Retried, Archived))
    assert outcome.error == "ValueError: broken"
    assert isinstance(outcome.cause, ValueError)
    assert 'raise ValueError("broken")' in outcome.traceback_text
    assert "worker/run.py" not in outcome.traceback_text


def test_the_wait_for_a_retry_grows_within_its_limits() -> None:
    for retry in range(3):
        outcome = run(fails, TASK._replace(retry=retry), retry_delay=4.0, retry_delay_max=10.0)
        assert isinstance(outcome, Retried)
        assert 0 <= outcome.delay <= min(4.0 * 2**retry, 10.0)


def test_a_handler_may_ask_for_its_wait_or_for_the_end() -> None:
    def later(payload: object) -> None:
        raise Retry(in_seconds=7, why="not yet")

    def never(payload: object) -> None:
        raise Fail("pointless")

    asked = run(later)
    assert isinstance(asked, Retried)
    assert (asked.delay, asked.error) == (7, "not yet")
    ended = run(never)
    assert isinstance(ended, Archived)
    assert ended.error == "pointless"


def test_an_unusable_payload_is_archived_at_once() -> None:
    outcome = run(lambda payload: None, TASK._replace(payload=b"{"))

    assert isinstance(outcome, Archived)
    assert outcome.error.startswith("the payload is unusable: ")


def test_a_loader_that_raises_only_now_fails_the_attempt() -> None:
    def handler(payload: object, ctx: object) -> None: ...

    def setup() -> None:
        raise SystemExit("no model")

    registry = registry_of(handler)
    add_loader(registry, setup)

    outcome = run_by(registry)

    assert isinstance(outcome, Retried)
    assert outcome.error == "SystemExit: no model"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\nb"), "ValueError: a\nb"),
        (ValueError(), "ValueError"),
        (ValueError("\ud800"), "ValueError: \\ud800"),
        (ValueError("x" * 10**6), ("ValueError: " + "x" * 10**6)[:ERROR_LIMIT]),
        (HandlerTimeout(1.5), "timed out after 1.5 s"),
        (HandlerError("None for this."), "None for this."),
        (Fail("why\nnot"), "why not"),
        (KeyError("k"), "KeyError: 'k'"),
    ],
    ids=lambda value: str(type(value).__name__),
)
def test_an_error_is_told_in_text_that_can_be_sent(error: BaseException, text: str) -> None:
    assert describe(error) == text
    describe(error).encode()
