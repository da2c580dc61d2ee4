"""Handlers and loaders on their way to another process, and what may come back instead of a value.

They travel by cloudpickle, so those that were defined in cells do too, with what they use.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from runqy_notebook.errors import one_line
from runqy_notebook.tasks import Handler, Loader


class DiedError(Exception):
    """The process that ran the handler died: of the task where that `is_known`, else perhaps of
    another one. `how` is an exit code, or says it.
    """

    def __init__(self, how: int | str, *, is_known: bool = True) -> None:
        self.is_known = is_known
        if isinstance(how, int):
            how = f"signal {-how}" if how < 0 else f"exit code {how}"
        super().__init__(f"the process that ran it died ({how})")


class ShutError(Exception):
    """Where the handler was to run nothing runs any more."""


class UnwantedError(Exception):
    """The task was told to end before there was an answer."""


class NotPortableError(Exception):
    """The handler, or something it uses, cannot be sent to another process."""


class RaisedError(Exception):
    """The handler raised in another process: its error and traceback as text, and the exception
    itself where it could be sent.
    """

    def __init__(self, error: str, traceback_text: str, cause: BaseException | None = None) -> None:
        self.error, self.traceback_text, self.cause = error, traceback_text, cause
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class Packed:
    """A function as it is sent. `by_name`: only its name is, and the other side imports it."""

    text: bytes
    key: bytes  # two of the same key are the same
    by_name: bool


def packed(what: Handler | Loader) -> Packed:
    """The function of a handler or loader with what it uses now; raises NotPortableError, which
    names what cannot be sent.
    """
    import cloudpickle  # seldom needed, so not loaded with the worker

    takes_context = isinstance(what, Handler) and what.takes_context
    try:
        text = cloudpickle.dumps((what.function, takes_context))
    except Exception as error:
        found = _culprit(what.function, cloudpickle.dumps)
        raise NotPortableError(f"it uses {found}" if found else describe_briefly(error)) from error
    # How cloudpickle spells that the code itself follows.
    by_name = b"_make_function" not in text and b"_make_skeleton_class" not in text
    return Packed(text, hashlib.blake2b(text, digest_size=16).digest(), by_name)


def describe_briefly(error: BaseException) -> str:
    return one_line(f"{type(error).__name__}: {error}", 200)


def _culprit(
    function: Any, dumps: Callable[[object], bytes], above: tuple[object, ...] = ()
) -> str:
    """What of the things that a function uses cannot be sent; "" where that is not found."""
    for name, value in _uses(function):
        if any(value is each for each in above):
            continue
        try:
            dumps(value)
        except Exception:  # noqa: BLE001 - whatever a pickler may raise
            deeper = _culprit(value, dumps, (*above, function)) if _is_code(value) else ""
            return deeper or f"{name!r} (a {type(value).__qualname__})"
    return ""


def _uses(function: Any) -> Iterator[tuple[str, object]]:
    """What a function refers to, by name."""
    if isinstance(function, functools.partial):
        yield from ((f"argument {i + 1}", value) for i, value in enumerate(function.args))
        yield from function.keywords.items()
        function = function.func
    owner = getattr(function, "__self__", None)
    if owner is not None:
        yield "self", owner
    function = inspect.unwrap(getattr(function, "__func__", function))
    if inspect.isfunction(function):
        found = inspect.getclosurevars(function)
        yield from found.nonlocals.items()
        yield from found.globals.items()
        yield from ((f"a default of {function.__name__}", d) for d in function.__defaults__ or ())


def _is_code(value: object) -> bool:
    return inspect.isroutine(value) or isinstance(value, functools.partial)
