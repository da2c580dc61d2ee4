"""`@task` and `@load`, which mark handlers, and what a handler may raise."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar, overload

from runqy_notebook.deliver.incode import checked_in_code
from runqy_notebook.errors import HandlerError, RunqyNotice, did_you_mean, one_line
from runqy_notebook.registry import REGISTRY, Handler, Loader, Registry
from runqy_notebook.settings import checked_count, checked_flag, checked_seconds
from runqy_notebook.wire import queues

__all__ = [
    "REGISTRY",
    "Fail",
    "Handler",
    "Loader",
    "Registry",
    "Retry",
    "RunqyNotice",
    "checked_type",
    "load",
    "task",
]

F = TypeVar("F", bound=Callable[..., Any])


class Retry(Exception):  # noqa: N818 - a request by the handler, not an error
    """Raised by a handler to be tried again in `in_seconds`, a number or a timedelta (by default:
    after the usual back-off).
    """

    def __init__(
        self, in_seconds: float | timedelta | None = None, why: str = "the handler asked"
    ) -> None:
        self.in_seconds = None if in_seconds is None else checked_seconds("Retry", in_seconds, 0)
        self.why = why
        super().__init__(why)


class Fail(Exception):  # noqa: N818 - a request by the handler, not an error
    """Raised by a handler to archive its task at once, whatever retries are left."""

    def __init__(self, why: str = "the handler gave up") -> None:
        self.why = why
        super().__init__(why)


@overload
def task(function: F, /) -> F: ...
@overload
def task(
    *,
    queue: str | None = None,
    type: str | None = None,
    max_retry: int | None = None,
    timeout: float | timedelta | None = None,
    store_result: bool | None = None,
    deliver_to: str | Sequence[str] | None = None,
) -> Callable[[F], F]: ...
def task(function: Any = None, /, **options: Any) -> Any:
    """Marks a handler: `@task` or `@task(queue="inference", max_retry=5, timeout=30)`.

    It is called as `handler(payload)` or `handler(payload, ctx)`, `ctx` being what `@load`
    returned (None without one), and may be `async`. `max_retry`, `timeout` (seconds),
    `store_result` and `deliver_to` (URLs of any sink, or names of the session's destinations) are
    the defaults for its tasks; what a task says itself goes first.
    Raises HandlerError, QueueNameError, DestinationError. The function itself is left as it is.
    """
    checked = _checked("task", options, _TASK_OPTIONS)

    def register(wrapped: F) -> F:
        _check_function("task", wrapped)
        REGISTRY.add(Handler(wrapped, **checked))
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
    checked = _checked("load", options, _LOAD_OPTIONS)

    def register(wrapped: F) -> F:
        _check_function("load", wrapped)
        REGISTRY.add_loader(Loader(wrapped, **checked))
        return wrapped

    return register if function is None else register(function)


def checked_type(value: object) -> str:
    """A task type; raises ValueError with a sentence."""
    if isinstance(value, str) and 0 < len(value) <= 200 and value.isprintable():
        return value
    shown = one_line(repr(value), 80)
    raise ValueError(f"type must be 1 to 200 printable characters, not {shown}.")


_Check = Callable[[Any], object]
_LOAD_OPTIONS: dict[str, _Check] = {"queue": queues.checked}
_TASK_OPTIONS: dict[str, _Check] = {
    "queue": queues.checked,
    "type": checked_type,
    "max_retry": functools.partial(checked_count, "max_retry"),
    "timeout": lambda value: checked_seconds("timeout", value, 0.001),
    "store_result": functools.partial(checked_flag, "store_result"),
    "deliver_to": checked_in_code,
}


def _checked(decorator: str, options: dict[str, Any], known: dict[str, _Check]) -> dict[str, Any]:
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise HandlerError(
                f"@{decorator} has no option {name!r}; it takes {', '.join(known)}.{hint}"
            )
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return {name: known[name](value) for name, value in given.items()}
    except ValueError as error:
        raise HandlerError(f"@{decorator}: {error}") from None


def _check_function(decorator: str, function: object) -> None:
    if not callable(function):
        example = repr(function) if isinstance(function, str) else "..."
        raise HandlerError(
            f"@{decorator} marks a function, not {one_line(repr(function), 80)}; write "
            f"@{decorator} or @{decorator}(queue={example}) above a def."
        )
