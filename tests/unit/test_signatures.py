"""Which functions can be handlers, and which loaders."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from runqy_notebook.errors import HandlerError
from runqy_notebook.tasks import REGISTRY, load, task


class Model:
    def predict(self, payload: dict[str, Any]) -> int:
        return 1

    def predict_with(self, payload: dict[str, Any], ctx: object) -> int:
        return 2

    def load(self) -> object:
        return self


class Callback:
    def __call__(self, payload: dict[str, Any], ctx: object) -> int:
        return 3


def refusal(define: Callable[[], object], kind: type[Exception] = HandlerError) -> str:
    with pytest.raises(kind) as caught:
        define()
    return str(caught.value)


def takes_context(function: Callable[..., Any]) -> bool:
    task(queue="q")(function)
    handler = REGISTRY.handler_for("q")
    assert handler is not None
    return handler.takes_context


@pytest.mark.parametrize(
    "function",
    [
        lambda payload: None,
        lambda payload=None: None,
        lambda payload, **rest: None,
        lambda payload, *, flag=False: None,
        Model().predict,
        functools.partial(lambda model, payload: None, "a model"),
        staticmethod(lambda payload: None),
        len,
        dict,
    ],
)
def test_handlers_of_the_payload_alone(function: Callable[..., Any]) -> None:
    assert not takes_context(function)


@pytest.mark.parametrize(
    "function",
    [
        lambda payload, ctx: None,
        lambda payload, ctx=None: None,
        lambda payload, ctx, more=1: None,
        lambda payload, *rest: None,
        lambda *everything: None,
        Model().predict_with,
        Callback(),
        functools.partial(lambda payload, ctx, model: None, model="a model"),
    ],
)
def test_handlers_of_payload_and_context(function: Callable[..., Any]) -> None:
    assert takes_context(function)


def test_async_functions_are_handlers_and_loaders() -> None:
    @task
    async def handle(payload: dict[str, Any]) -> None: ...

    @load
    async def setup() -> None: ...

    loader = REGISTRY.loader_for("q")
    assert REGISTRY.has_plain_handler()
    assert loader is not None
    assert loader.is_async


def no_parameter() -> None: ...
def three(payload: object, ctx: object, more: object) -> None: ...
def named_only(payload: object, *, ctx: object) -> None: ...
def only_named(**payload: object) -> None: ...


@pytest.mark.parametrize(
    ("function", "signature"),
    [
        (no_parameter, "()"),
        (three, "(payload: 'object', ctx: 'object', more: 'object')"),
        (named_only, "(payload: 'object', ctx: 'object')"),
        (only_named, "(**payload: 'object')"),
    ],
)
def test_a_function_that_no_task_can_be_given_to_is_refused(
    function: Callable[..., Any], signature: str
) -> None:
    assert refusal(lambda: task(function)) == (
        f"The handler {function.__name__!r} has the signature {signature}; a handler takes "
        "(payload) or (payload, ctx)."
    )
    assert not REGISTRY.has_plain_handler()


def test_a_method_without_its_object_is_refused() -> None:
    assert refusal(lambda: task(Model.predict)) == (
        "The handler 'Model.predict' is a method without its object; mark the method of an "
        "object: task(self.predict)."
    )


def test_a_function_that_yields_is_refused() -> None:
    def handle(payload: dict[str, Any]) -> Iterator[int]:
        yield 1

    def setup() -> Iterator[int]:
        yield 1

    assert refusal(lambda: task(handle)).endswith(
        "yields, so calling it runs nothing; let it return."
    )
    assert refusal(lambda: load(setup)).endswith(
        "yields, so calling it runs nothing; let it return."
    )


def test_a_loader_that_wants_arguments_is_refused() -> None:
    def setup(path: str, size: int = 1) -> None: ...

    assert refusal(lambda: load(setup)).endswith(
        "setup' is called without arguments, but wants path."
    )


@pytest.mark.parametrize(
    "function", [lambda: None, lambda size=1: None, lambda *a, **k: None, Model().load, dict]
)
def test_a_loader_is_called_without_arguments(function: Callable[..., Any]) -> None:
    load(function)

    assert REGISTRY.loader_for("q") is not None


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (Model().predict, "Model.predict"),
        (functools.partial(Model().predict), "Model.predict"),
        (Callback(), "Callback"),
        (len, "len"),
    ],
)
def test_a_handler_is_called_by_a_name_that_people_know(
    function: Callable[..., Any], name: str
) -> None:
    task(function)

    handler = REGISTRY.handler_for("q")
    assert handler is not None
    assert handler.name == name
