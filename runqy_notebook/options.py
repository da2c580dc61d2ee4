"""What may be said about a task when it is enqueued."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone

from runqy_notebook.errors import PayloadError, UsageError, did_you_mean, one_line
from runqy_notebook.settings import Settings
from runqy_notebook.tasks import Handler
from runqy_notebook.wire.documented import DEFAULT_TYPE, new_id, unique_id
from runqy_notebook.wire.payload import encode_value

LONGEST_ID = 512  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of `Session.enqueue`.

    type: the task type, for handlers that have one
    max_retry: retries after the first attempt; by default the handler's, else the setting's
    timeout: seconds that a run may take; by default the handler's, else the setting's
    store: whether the result is written to Redis; by default as the worker does
    unique: True gives back the task of the same queue and payload while that is unfinished or
        younger than `unique_ttl` seconds; any other value takes the place of the payload
    delay: seconds from now, or a timedelta, until the task is due
    at: the moment at which it is due, an aware datetime (a naive one is local time)
    """

    type: str = DEFAULT_TYPE
    max_retry: int | None = None
    timeout: float | None = None
    store: bool | None = None
    unique: object = False
    unique_ttl: float | None = None
    delay: float | timedelta | None = None
    at: datetime | None = None

    @classmethod
    def of(cls, options: Mapping[str, object]) -> TaskOptions:
        """Options by name; raises UsageError for a name or value that makes no sense."""
        known = [field.name for field in fields(cls)]
        for name in options:
            if name not in known:
                hint = did_you_mean(name, known)
                raise UsageError(
                    f"enqueue has no option {name!r}; it has {', '.join(known)}.{hint}"
                )
        made = cls(**options)  # type: ignore[arg-type]
        made._check()
        return made

    @property
    def due(self) -> str:
        """When the task is due, as the enqueue script wants it."""
        if self.at is not None:
            return f"{self.at.astimezone(timezone.utc).timestamp():.3f}"
        if self.delay is not None:
            seconds = (
                self.delay.total_seconds() if isinstance(self.delay, timedelta) else self.delay
            )
            return f"+{seconds:.3f}"
        return "0"

    def id_for(self, queue: str, payload: bytes, given: str | None) -> str:
        """The task's id: the one given, the one that `unique` makes, or a new one."""
        if given is not None:
            return _checked_id(given)
        if self.unique is False or self.unique is None:
            return new_id()
        key = payload if self.unique is True else b"key:" + encode_value(self.unique, "unique")
        return unique_id(queue, key)

    def unique_age(self, settings: Settings) -> float | None:
        """Seconds for which a task is given back instead of made again; None for never."""
        if self.unique is False or self.unique is None:
            return None
        return settings.unique_ttl if self.unique_ttl is None else self.unique_ttl

    def fields(self, handler: Handler | None, settings: Settings) -> dict[str, str]:
        """The task's hash fields, but for payload and queue. What the task, its handler and the
        settings leave at the default is left out, so that the worker decides.
        """
        retries = _first(self.max_retry, handler and handler.max_retry, settings.max_retry)
        timeout = _first(self.timeout, handler and handler.timeout)
        made = {"type": self.type, "retry": "0", "max_retry": str(retries)}
        if timeout is not None:
            made["timeout"] = f"{timeout:g}"
        if self.store is not None:
            made["store"] = "1" if self.store else "0"
        return made

    def _check(self) -> None:
        if not isinstance(self.type, str) or not 0 < len(self.type) <= 200:
            raise UsageError(f"type must be a text of 1 to 200 characters, not {self.type!r}.")
        if self.max_retry is not None and not _is_number(self.max_retry, whole=True):
            raise UsageError(f"max_retry must be a whole number from 0, not {self.max_retry!r}.")
        for name in ("timeout", "unique_ttl", "delay"):
            value = getattr(self, name)
            if isinstance(value, timedelta):
                value = value.total_seconds()
            if value is not None and not _is_number(value):
                raise UsageError(f"{name} must be a number of seconds from 0, not {value!r}.")
        if self.timeout == 0:
            raise UsageError("timeout must be more than 0 seconds.")
        if self.at is not None and not isinstance(self.at, datetime):
            raise UsageError(f"at must be a datetime, not {self.at!r}.")
        if self.at is not None and self.delay is not None:
            raise UsageError("Give either delay or at, not both.")


def _is_number(value: object, *, whole: bool = False) -> bool:
    kinds = (int,) if whole else (int, float)
    return isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value < 1e9


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def _checked_id(task_id: object) -> str:
    if not isinstance(task_id, str) or not task_id:
        raise UsageError(f"A task id is a text, not {task_id!r}.")
    try:
        size = len(task_id.encode())
    except UnicodeEncodeError:
        raise PayloadError("id", f"{task_id!r} is not Unicode text") from None
    if size > LONGEST_ID or not task_id.isprintable():
        raise UsageError(
            f"A task id is 1 to {LONGEST_ID} bytes of printable text, "
            f"not {one_line(task_id, 80)!r}."
        )
    return task_id
