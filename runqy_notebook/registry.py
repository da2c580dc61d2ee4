"""Which function serves which queue.

A handler belongs to the queue it names (its parent queue, as a rule); without `queue=` it is
*plain* and serves every queue that has none of its own. Defining it again, as by running its cell
again, swaps it in for the next task; workers notice by `Registry.version`.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from runqy_notebook.errors import HandlerError, one_line, tell
from runqy_notebook.wire import queues


@dataclass(frozen=True, slots=True, eq=False)
class Handler:
    """A function that runs tasks, and what its decorator said about them.

    Raises HandlerError for a function that no task could be given to.
    """

    function: Callable[..., Any]
    queue: str | None = None
    type: str | None = None
    max_retry: int | None = None
    timeout: float | None = None  # seconds
    store_result: bool | None = None
    deliver_to: tuple[str, ...] = ()  # URLs and names of destinations
    takes_context: bool = field(init=False)  # what `@load` returned, as a second argument

    def __post_init__(self) -> None:
        object.__setattr__(self, "takes_context", _takes_context(self.function))

    @property
    def name(self) -> str:
        return _name(self.function)


@dataclass(frozen=True, slots=True, eq=False)
class Loader:
    """A function that runs once before the first task; the handlers get what it returns.

    Raises HandlerError for a function that wants arguments.
    """

    function: Callable[..., Any]
    queue: str | None = None

    def __post_init__(self) -> None:
        _refuse_generator("@load function", self.function)
        if wanted := [p for p in _parameters(self.function) or () if _is_required(p)]:
            raise HandlerError(
                f"The @load function {self.name!r} is called without arguments, but wants "
                f"{', '.join(p.name for p in wanted)}."
            )

    @property
    def name(self) -> str:
        return _name(self.function)

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.function)


class Registry:
    """The handlers and loaders of this process. Threads may share it."""

    def __init__(self) -> None:
        self.version = 0  # rises with every change
        # Replaced, never changed: threads go through them without a lock.
        self._handlers: dict[tuple[str | None, str | None], Handler] = {}
        self._found: dict[tuple[str, str], Handler | None] = {}  # asked for before
        self._loaders: dict[str | None, Loader] = {}
        self._lock = threading.Lock()

    def add(self, handler: Handler) -> None:
        """Makes `handler` the one for its queue and type."""
        key = (handler.queue, handler.type)
        with self._lock:
            before = self._handlers.get(key)
            self._handlers = {**self._handlers, key: handler}
            self._found = {}
            self.version += 1
        if before and not _is_rerun(before.function, handler.function):
            _tell_replaced("handler", before, handler)

    def add_loader(self, loader: Loader) -> None:
        """Makes `loader` the one for its queue."""
        with self._lock:
            before = self._loaders.get(loader.queue)
            self._loaders = {**self._loaders, loader.queue: loader}
            self.version += 1
        if before and not _is_rerun(before.function, loader.function):
            _tell_replaced("@load function", before, loader)

    def handler_for(self, queue: str, type: str = "") -> Handler | None:
        """The handler that runs a task of this queue and type: of the queue itself, else of its
        parent, else the plain one; in each case one for the type before one for any type.
        """
        found = self._found  # a handler that comes meanwhile replaces this
        try:
            return found[queue, type]
        except KeyError:
            handler = self._look_up(queue, type)
            if len(found) < _MOST_FOUND:
                found[queue, type] = handler
            return handler

    def types_of(self, queue: str) -> list[str]:
        """The task types for which this queue has a handler of its own or a plain one."""
        owners = (queue, queues.parent_of(queue), None)
        return sorted(kind for owner, kind in self._handlers if kind and owner in owners)

    def serves(self, queue: str) -> bool:
        """Whether some handler would run tasks of this queue."""
        owners = (queue, queues.parent_of(queue), None)
        return any(owner in owners for owner, _ in self._handlers)

    def handlers_of(self, queue: str) -> list[Handler]:
        """The handlers that run tasks of this queue, of whatever type."""
        handlers = self._handlers  # replaced by whoever adds one
        owners = (queue, queues.parent_of(queue), None)
        of_type: dict[str | None, Handler] = {}
        for owner in reversed(owners):
            of_type |= {kind: found for (of, kind), found in handlers.items() if of == owner}
        return list(of_type.values())

    def loader_for(self, queue: str) -> Loader | None:
        """The loader whose value the handlers of this queue are given."""
        for owner in (queue, queues.parent_of(queue), None):
            if loader := self._loaders.get(owner):
                return loader
        return None

    def queues(self) -> list[str]:
        """The queues that handlers name."""
        return sorted({owner for owner, _ in self._handlers if owner})

    def has_plain_handler(self) -> bool:
        return any(owner is None for owner, _ in self._handlers)

    def clear(self) -> None:
        """Forgets everything (for tests)."""
        with self._lock:
            self._handlers, self._loaders, self._found = {}, {}, {}
            self.version += 1

    def _look_up(self, queue: str, type: str) -> Handler | None:
        for owner in (queue, queues.parent_of(queue), None):
            for kind in (type, None):
                if handler := self._handlers.get((owner, kind)):
                    return handler
        return None


_MOST_FOUND = 10_000  # types are strangers' text: not for ever

REGISTRY = Registry()
"""The handlers of this process."""


def _name(function: Any) -> str:
    if isinstance(function, functools.partial):
        return _name(function.func)
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)


def _is_rerun(before: Callable[..., Any], after: Callable[..., Any]) -> bool:
    """Whether `after` is the same definition run again, as when its cell is."""
    if _name(after).endswith("<lambda>"):  # which all have the same name
        return getattr(before, "__code__", None) == getattr(after, "__code__", after)
    homes = [getattr(function, "__module__", None) for function in (before, after)]
    return homes[0] == homes[1] and _name(before) == _name(after)


def _tell_replaced(what: str, before: Handler | Loader, after: Handler | Loader) -> None:
    of = "every queue without one of its own" if after.queue is None else f"queue {after.queue!r}"
    kind = getattr(after, "type", None)
    of += f" and type {kind!r}" if kind else ""
    tell(
        f"The {what} {after.name!r} replaces {before.name!r} for {of}. Give them queues of their "
        "own, with queue=..., where both are needed."
    )


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter] | None:
    """None for builtins that do not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None


def _is_required(parameter: inspect.Parameter) -> bool:
    variadic = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in variadic


def _takes_context(function: Callable[..., Any]) -> bool:
    """Whether a handler takes two arguments; raises HandlerError unless it takes one or two."""
    _refuse_generator("handler", function)
    parameters = _parameters(function)
    if parameters is None:
        return False
    if inspect.isfunction(function) and parameters and parameters[0].name in ("self", "cls"):
        raise HandlerError(
            f"The handler {_name(function)!r} is a method without its object; mark the method of "
            f"an object: task({parameters[0].name}.{function.__name__})."
        )
    positional = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    )
    required = [p for p in parameters if _is_required(p)]
    room = sum(p.kind in positional for p in parameters)
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        room = 2
    if not room or len(required) > 2 or any(p.kind not in positional for p in required):
        raise HandlerError(
            f"The handler {_name(function)!r} has the signature "
            f"({one_line(', '.join(map(str, parameters)), 160)}); a handler takes (payload) or "
            "(payload, ctx)."
        )
    return room >= 2


def _refuse_generator(what: str, function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise HandlerError(
            f"The {what} {_name(function)!r} yields, so calling it runs nothing; let it return."
        )
