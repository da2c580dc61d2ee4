"""What may be said about a task when it is enqueued."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from runqy_notebook.deliver.directory import checked_places
from runqy_notebook.deliver.guard import masked
from runqy_notebook.errors import UsageError, did_you_mean, one_line
from runqy_notebook.registry import Handler
from runqy_notebook.settings import Settings, checked_count, checked_flag, checked_seconds
from runqy_notebook.tasks import checked_type
from runqy_notebook.wire.documented import DEFAULT_TYPE, new_id, new_ids, unique_id
from runqy_notebook.wire.payload import encode_value, in_one_object, in_one_order

LONGEST_ID = 512  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Options of `Session.enqueue`. Durations are seconds, timedeltas, or text such as "1h30m".

    type: the task type, for handlers that have one
    max_retry: retries after the first attempt; by default the handler's, else the setting's
    timeout: how long a run may take; by default the handler's, else the setting's
    store: whether the result is written to Redis; by default as the worker does
    result_ttl: how long a stored result is kept; by default as the worker's setting says
    unique: True gives back the task of the same queue and payload while that is unfinished or
        younger than `unique_ttl`; any other value takes the place of the payload
    delay: how long from now until the task is due
    at: the moment at which it is due, an aware datetime (a naive one is local time)
    webhook: a URL for a handler that delivers by itself: it finds it in the payload as
        `webhook_url`, beside the `task_id`; nothing else is sent there
    deliver_to: URLs and names of destinations that are sent the result, or the error, when the
        task has ended; by default the handler's
    """

    type: str = DEFAULT_TYPE
    max_retry: int | None = None
    timeout: float | None = None
    store: bool | None = None
    result_ttl: float | None = None
    unique: object = False
    unique_ttl: float | None = None
    delay: float | None = None
    at: datetime | None = None
    webhook: str | None = None
    deliver_to: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, object]) -> TaskOptions:
        """Options by name; raises UsageError for a name or value that makes no sense, PayloadError
        for a `unique` that is not JSON, DestinationError for a `deliver_to` that is none.
        """
        if not options:
            return NO_OPTIONS
        for name in options:
            if name == "id":
                raise UsageError("id names one task; enqueue_many makes the ids itself.")
            if name not in _CHECKS:
                hint = did_you_mean(name, _CHECKS)
                raise UsageError(
                    f"enqueue has no option {name!r}; it has {', '.join(_CHECKS)}.{hint}"
                )
        given = {name: value for name, value in options.items() if value is not None}
        if "delay" in given and "at" in given:
            raise UsageError("Give either delay or at, not both.")
        try:
            checked: dict[str, Any] = {name: _CHECKS[name](value) for name, value in given.items()}
        except ValueError as error:
            raise UsageError(str(error)) from None
        return cls(**checked)

    @property
    def is_for_later(self) -> bool:
        """Whether the task is to wait for its time."""
        return self.at is not None or self.delay is not None

    @property
    def due(self) -> str:
        """When the task is due, as the enqueue script wants it."""
        if self.at is not None:
            return f"{self.at.timestamp():.3f}"
        return "0" if self.delay is None else f"+{self.delay:.3f}"

    def due_at(self, now: float) -> float | None:
        """The unix time at which it is due, where it is not at once."""
        if self.at is not None:
            return self.at.timestamp()
        return None if self.delay is None else now + self.delay

    def id_for(self, queue: str, payload: bytes, given: str | None) -> str:
        """The task's id: the one given, the one that `unique` makes, or a new one."""
        if given is not None:
            return _checked_id(given)
        if self.unique is False:
            return new_id()
        if self.unique is True:
            return unique_id(queue, in_one_order(payload))
        return unique_id(queue, b"key:" + in_one_order(encode_value(self.unique, "unique")))

    def ids_for(self, queue: str, payloads: Sequence[bytes]) -> list[str]:
        """An id for each payload: new ones, or those that `unique` makes."""
        if self.unique is False:
            return new_ids(len(payloads))
        return [self.id_for(queue, payload, None) for payload in payloads]

    def payload_for(self, task_id: str, text: bytes) -> bytes:
        """The payload as it is sent: with `webhook` it says where to and for which task."""
        if self.webhook is None:
            return text
        return in_one_object(text, {"webhook_url": self.webhook, "task_id": task_id})

    def unique_age(self, settings: Settings) -> float | None:
        """Seconds for which a task is given back instead of made again; None for never."""
        if self.unique is False:
            return None
        return settings.unique_ttl if self.unique_ttl is None else self.unique_ttl

    def fields(self, handler: Handler | None, settings: Settings) -> dict[str, str]:
        """The task's hash fields, but for payload and queue. What the task, its handler and the
        settings leave at the default is left out, so that the worker decides.
        """
        retries = _first(self.max_retry, handler and handler.max_retry, settings.max_retry)
        timeout = _first(self.timeout, handler and handler.timeout)
        made = {"type": self.type, "retry": "0", "max_retry": str(retries)}
        for name, seconds in (("timeout", timeout), ("result_ttl", self.result_ttl)):
            if seconds is not None:
                made[name] = f"{seconds:.3f}".rstrip("0").rstrip(".")
        if self.store is not None:
            made["store"] = "1" if self.store else "0"
        if self.deliver_to:
            made["deliver"] = " ".join(self.deliver_to)
        return made


NO_OPTIONS = TaskOptions()


def _seconds(name: str, least: float = 0) -> Callable[[object], float]:
    return lambda duration: checked_seconds(name, duration, least)


def _unique(unique: object) -> object:
    """False for no, True for the payload, or the key; numpy's booleans are booleans."""
    meant = {b"true": True, b"false": False, b"null": False}
    return meant.get(encode_value(unique, "unique"), unique)


def _moment(at: object) -> datetime:
    """A datetime that has a unix time; raises ValueError with a sentence."""
    if not isinstance(at, datetime):
        raise ValueError(f"at must be a datetime, not {one_line(repr(at), 80)}.")
    try:
        # Made anew: pandas' naive Timestamp has no local time, and its NaT is a datetime too.
        plain = datetime.combine(at.date(), at.timetz())
        plain.timestamp()
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"at must be a moment that has a unix time, not {at}.") from None
    return plain


def moment_named(text: str) -> datetime:
    """The moment that "18:30" (the next one, local time) or an ISO 8601 text means; raises
    ValueError with a sentence.
    """
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}", text):
            now = datetime.now().astimezone()
            hour, minute = map(int, text.split(":"))
            at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return at if at > now else at + timedelta(days=1)
        return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{one_line(text, 80)!r} is not a moment; write 18:30 or 2030-01-31T18:30"
        ) from None


def _webhook(url: object) -> str:
    """A URL for a handler; it may go anywhere, for it is not we who send there."""
    is_url = isinstance(url, str) and url.lower().startswith(("http://", "https://"))
    if not is_url or not str(url).isprintable():
        raise ValueError(f"webhook must be an http:// or https:// URL, not {masked(url)!r}.")
    return str(url)


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "type": checked_type,
    "max_retry": partial(checked_count, "max_retry"),
    "timeout": _seconds("timeout", 0.001),
    "store": partial(checked_flag, "store"),
    "result_ttl": _seconds("result_ttl", 1),
    "unique": _unique,
    "unique_ttl": _seconds("unique_ttl"),
    "delay": _seconds("delay"),
    "at": _moment,
    "webhook": _webhook,
    "deliver_to": checked_places,
}


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _checked_id(task_id: object) -> str:
    is_text = isinstance(task_id, str) and task_id.isprintable()
    if not is_text or not 0 < len(str(task_id).encode()) <= LONGEST_ID:
        raise UsageError(
            f"A task id is 1 to {LONGEST_ID} bytes of printable text, not "
            f"{one_line(repr(task_id), 80)}."
        )
    return str(task_id)
