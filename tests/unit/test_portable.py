"""What is said of a handler that cannot be sent to another process."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from runqy_notebook.registry import Handler
from runqy_notebook.worker.portable import NotPortableError, packed

LOCK = threading.Lock()


class Model:
    """Of the sort that handlers use: it holds something that cannot be sent."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def predict(self, payload: object) -> None:
        """A handler that is a method."""

    def __call__(self, payload: object) -> None:
        """A handler that is an object."""


def of_a_cell(source: str, **names: Any) -> Any:
    """The `handler` that this cell defines, where these names are known."""
    cell: dict[str, Any] = {"__name__": "a cell", **names}
    exec(source, cell)  # as a notebook does
    return cell["handler"]


def with_a_default(payload: object, lock: Any = LOCK) -> None:
    """A handler."""


def plain(lock: object, payload: object) -> None:
    """A handler once it has its lock."""


def using_each_other() -> Callable[[Any], Any]:
    lock = threading.Lock()

    def even(number: int) -> bool:
        return number == 0 or odd(number - 1)

    def odd(number: int) -> bool:
        with lock:
            return even(number - 1)

    def handler(payload: int) -> bool:
        return even(payload)

    return handler


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (of_a_cell("def handler(payload): LOCK", LOCK=LOCK), "it uses 'LOCK' (a lock)"),
        (of_a_cell("def handler(payload, x=LOCK): ...", LOCK=LOCK), "'a default of handler'"),
        (functools.partial(plain, LOCK), "it uses 'argument 1' (a lock)"),
        (functools.partial(with_a_default, lock=LOCK), "it uses 'lock' (a lock)"),
        (functools.partial(Model().predict), "it uses 'self' (a Model)"),
        (Model().predict, "it uses 'self' (a Model)"),
        (Model(), "TypeError: cannot pickle"),
        (using_each_other(), "it uses 'lock' (a lock)"),
    ],
)
def test_what_cannot_be_sent_is_named(function: Callable[..., Any], named: str) -> None:
    with pytest.raises(NotPortableError) as caught:
        packed(Handler(function, "q"))

    assert named in str(caught.value)


def test_a_function_of_a_module_is_sent_by_its_name_whatever_it_uses() -> None:
    assert packed(Handler(with_a_default, "q")).by_name
    assert not packed(Handler(of_a_cell("def handler(payload): ..."), "q")).by_name
