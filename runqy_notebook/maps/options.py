"""What may be said about a map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from runqy_notebook.errors import UsageError, did_you_mean, one_line
from runqy_notebook.settings import checked_count, checked_flag, checked_seconds

DAY = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOptions:
    """Options of `Session.map`. Durations are seconds, timedeltas, or text such as "1h30m".

    name: which map this is; without one, a map of these very rows. Rows that a map of that name
        has done already are not sent again, although others came, went or changed
    fresh: True runs every row, whatever is there from earlier
    retry_failed: whether rows that failed in an earlier run are run again
    errors: "column" tells why a row failed in the column `error`; "raise" raises the first failure
    keep: how long results stay in Redis, for a run to take up where an earlier one was
    batch: rows sent in one round trip
    ahead: rows that are sent and not done, at most
    progress: whether the cell, or the terminal, shows how far it is
    type, max_retry, timeout, deliver_to: of each task, as in `Session.enqueue`
    """

    name: str = ""
    fresh: bool = False
    retry_failed: bool = True
    errors: str = "column"
    keep: float = DAY
    batch: int = 500
    ahead: int = 2_000
    progress: bool = True
    type: str | None = None
    max_retry: int | None = None
    timeout: object = None
    deliver_to: object = None

    @classmethod
    def of(cls, given: Mapping[str, object]) -> MapOptions:
        """Options by name; raises UsageError for a name or value that makes no sense."""
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                hint = did_you_mean(name, names)
                raise UsageError(f"map has no option {name!r}; it has {', '.join(names)}.{hint}")
        said = {name: value for name, value in given.items() if value is not None}
        try:
            checked: Any = {n: _CHECKS.get(n, _as_it_is)(value) for n, value in said.items()}
        except ValueError as error:
            raise UsageError(str(error)) from None
        return cls(**checked)

    @property
    def of_tasks(self) -> dict[str, object]:
        """The options of each task: its result is stored, for a later run to find."""
        named = {
            "type": self.type,
            "max_retry": self.max_retry,
            "timeout": self.timeout,
            "deliver_to": self.deliver_to,
        }
        said = {name: value for name, value in named.items() if value is not None}
        return {**said, "store": True, "result_ttl": self.keep}


def _at_least_one(name: str, number: object) -> int:
    if not checked_count(name, number):
        raise ValueError(f"{name} must be at least 1, not {_shown(number)}.")
    return checked_count(name, number)


def _errors(value: object) -> str:
    if value not in ("column", "raise"):
        raise ValueError(f'errors is "column" or "raise", not {_shown(value)}.')
    return str(value)


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"name is text, not {_shown(value)}.")
    return value


def _as_it_is(value: object) -> object:
    return value  # the options of tasks are checked with them


_CHECKS: Mapping[str, Callable[[Any], object]] = {
    "name": _name,
    "errors": _errors,
    **{name: partial(checked_flag, name) for name in ("fresh", "retry_failed", "progress")},
    **{name: partial(_at_least_one, name) for name in ("batch", "ahead")},
    "keep": lambda keep: checked_seconds("keep", keep, 1),
}


def _shown(value: object) -> str:
    return one_line(repr(value), 80)
