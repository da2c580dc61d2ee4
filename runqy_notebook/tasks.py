"""Handlers: the functions that `@task` and `@load` mark, and which of them serves a queue.

A handler belongs to the queue it names (its parent queue, as a rule); without `queue=` it is
*plain* and serves every queue that has none of its own. Running a cell again swaps the handler in
for the next task; workers notice by `Registry.version`.
"""

from __future__ import annotations

import inspect
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from runqy_notebook.errors import HandlerError
from runqy_notebook.wire import queues

F = TypeVar("F", bound=Callable[..., Any])


class RunqyNotice(UserWarning):
    """Something that works, but perhaps not as meant."""


class Retry(Exception):  # noqa: N818 - a request by the handler, not an error
    """Raised by a handler to be tried again in `in_seconds` (by default: the usual back-off)."""

    def __init__(self, in_seconds: float | None = None, why: str = "the handler asked") -> None:
        self.in_seconds, self.why = in_seconds, why
        super().__init__(why)


class Fail(Exception):  # noqa: N818 - a request by the handler, not an error
    """Raised by a handler to archive its task at once, whatever retries are left."""

    def __init__(self, why: str = "the handler gave up") -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that runs tasks, and what its decorator said about them."""

    function: Callable[..., Any]
    queue: str | None = None
    type: str | None = None
    max_retry: int | None = None
    timeout: float | None = None  # seconds
    store_result: bool | None = None

    @property
    def name(self) -> str:
        return _name(self.function)

    @property
    def takes_context(self) -> bool:
        """Whether it wants what `@load` returned as a second argument."""
        return _positional(self.function, "handler", least=1) >= 2


@dataclass(frozen=True, slots=True)
class Loader:
    """A function that runs once before the first task; the handlers get what it returns."""

    function: Callable[..., Any]
    queue: str | None = None

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
        self._handlers: dict[tuple[str | None, str | None], Handler] = {}
        self._loaders: dict[str | None, Loader] = {}
        self._lock = threading.Lock()

    def add(self, handler: Handler) -> None:
        """Makes `handler` the one for its queue and type; raises HandlerError for a function that
        no task could be given to.
        """
        _positional(handler.function, "handler", least=1)
        key = (handler.queue, handler.type)
        with self._lock:
            before = self._handlers.get(key)
            self._handlers[key] = handler
            self.version += 1
        if before and key == (None, None) and not _is_rerun(before.function, handler.function):
            warnings.warn(
                f"The plain handler {handler.name!r} replaces {before.name!r}: each queue has one "
                "handler. Give them queues of their own with @task(queue=...).",
                RunqyNotice,
                stacklevel=4,
            )

    def add_loader(self, loader: Loader) -> None:
        """Makes `loader` the one for its queue."""
        if _positional(loader.function, "@load function", least=0) and _required(loader.function):
            raise HandlerError(f"The @load function {loader.name!r} must take no arguments.")
        with self._lock:
            self._loaders[loader.queue] = loader
            self.version += 1

    def handler_for(self, queue: str, type: str = "") -> Handler | None:
        """The handler that runs a task of this queue and type: of the queue itself, else of its
        parent, else the plain one; in each case one for the type before one for any type.
        """
        for owner in (queue, queues.parent_of(queue), None):
            for kind in (type, None):
                if handler := self._handlers.get((owner, kind)):
                    return handler
        return None

    def types_of(self, queue: str) -> list[str]:
        """The task types for which this queue has a handler of its own or a plain one."""
        owners = (queue, queues.parent_of(queue), None)
        return sorted(kind for owner, kind in self._handlers if kind and owner in owners)

    def serves(self, queue: str) -> bool:
        """Whether some handler would run tasks of this queue."""
        owners = (queue, queues.parent_of(queue), None)
        return any(owner in owners for owner, _ in self._handlers)

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
            self._handlers.clear()
            self._loaders.clear()
            self.version += 1


REGISTRY = Registry()
"""The handlers of this process."""


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    queue: str | None = None,
    type: str | None = None,
    max_retry: int | None = None,
    timeout: float | None = None,
    store_result: bool | None = None,
) -> Callable[[F], F]: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Marks a handler: `@task` or `@task(queue="inference", max_retry=5, timeout=30)`.

    It is called as `handler(payload)` or `handler(payload, ctx)`, `ctx` being what `@load`
    returned (None without one), and may be `async`. `max_retry`, `timeout` (seconds) and
    `store_result` are the defaults for its tasks; what a task says itself goes first.
    Raises HandlerError, QueueNameError. The function itself is left as it is.
    """
    _check_options("task", options, ("queue", "type", "max_retry", "timeout", "store_result"))

    def register(wrapped: F) -> F:
        _check_function("task", wrapped)
        REGISTRY.add(Handler(wrapped, **options))
        return wrapped

    return register if function is None else register(function)


@overload
def load(function: F, /) -> F: ...
@overload
def load(*, queue: str | None = None) -> Callable[[F], F]: ...
def load(function: Any = None, /, **options: Any) -> Any:
    """Marks the function that runs once before the first task and makes the handlers' `ctx`.

    A plain function runs once per worker; an `async` one once per slot, since what it opens
    belongs to the event loop of that slot. Raises HandlerError, QueueNameError.
    """
    _check_options("load", options, ("queue",))

    def register(wrapped: F) -> F:
        _check_function("load", wrapped)
        REGISTRY.add_loader(Loader(wrapped, **options))
        return wrapped

    return register if function is None else register(function)


def _check_options(decorator: str, options: dict[str, Any], known: tuple[str, ...]) -> None:
    for name in options:
        if name not in known:
            raise HandlerError(f"@{decorator} has no option {name!r}; it takes {', '.join(known)}.")
    if options.get("queue") is not None:
        queues.checked(options["queue"])
    for name, least in (("max_retry", 0), ("timeout", 0.001)):
        value = options.get(name)
        if value is not None and (isinstance(value, (bool, str)) or not value >= least):
            raise HandlerError(
                f"@{decorator}: {name} must be a number from {least}, not {value!r}."
            )


def _check_function(decorator: str, function: object) -> None:
    if not callable(function):
        raise HandlerError(
            f"@{decorator} marks a function, not {function!r}; write @{decorator} or "
            f"@{decorator}(queue=...) above a def."
        )


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def _is_rerun(before: Callable[..., Any], after: Callable[..., Any]) -> bool:
    """Whether `after` is the same definition run again, as when its cell is."""
    return (before.__module__, _name(before)) == (after.__module__, _name(after))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some builtins have no signature: assume (payload)
        return [inspect.Parameter("payload", inspect.Parameter.POSITIONAL_ONLY)]


def _required(function: Callable[..., Any]) -> int:
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return sum(p.default is p.empty and p.kind not in variadic for p in _parameters(function))


def _positional(function: Callable[..., Any], what: str, *, least: int) -> int:
    """How many positional arguments the function can be given, at most 2."""
    parameters = _parameters(function)
    kinds = [p.kind for p in parameters]
    room = sum(
        k in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        for k in kinds
    )
    room = 2 if inspect.Parameter.VAR_POSITIONAL in kinds else min(room, 2)
    named = [p for p in parameters if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if room < least or _required(function) > 2 or named:
        raise HandlerError(
            f"The {what} {_name(function)!r} has the signature "
            f"({', '.join(map(str, parameters))}); a handler takes (payload) or (payload, ctx)."
        )
    return room
