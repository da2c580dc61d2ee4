"""Settings and where they come from.

A value is taken from the first that has it: an argument, `%config Runqy.x`, the environment
(`RUNQY_X`, and `REDIS_URL` or `REDIS_HOST/PORT/PASSWORD/TLS` as runqy's server reads them), the
nearest pyproject.toml's `[tool.runqy-notebook]`, the default here.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from numbers import Integral, Real
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runqy_notebook.errors import SettingsError, did_you_mean, one_line

DAY = 86_400.0


MOST = 999_999_999
"""More would break scripts of the queue half-way, in numbers that Redis does not take."""

_MOST_ATTEMPTS = 100
_SECRET = re.compile(r"(whsec_)?[A-Za-z0-9+/]{32,88}={0,2}")


def _setting(
    default: object,
    help_text: str,
    *,
    least: float | None = None,
    most: int = MOST,
    is_shown: bool = True,
    among: tuple[str, ...] = (),
) -> Any:
    told = {"help": help_text, "least": least, "most": most, "among": among}
    return field(default=default, repr=is_shown, metadata=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session is set to. Durations are seconds; they may be given as "90s" or "1h30m"."""

    url: str | None = _setting(
        None, "Redis URL; without one localhost:6379, else embedded", is_shown=False
    )
    embedded: bool = _setting(False, "always use the embedded server")
    embedded_ttl: float = _setting(
        300.0, "the embedded server ends so long after its last client", least=1
    )
    state_dir: str | None = _setting(
        None, "where the embedded server and the spool keep their data"
    )
    queue: str | None = _setting(None, "the queue that run() serves")
    config_file: str | None = _setting(None, "a runqy worker's config.yml")
    separator: str = _setting(
        "_", "between a parent queue and its sub-queue: _ : or .", among=("_", ":", ".")
    )
    concurrency: int = _setting(1, "tasks that a worker runs at a time", least=1, most=1000)
    executor: str = _setting(
        "thread",
        "where handlers run: thread, or process (one per slot)",
        among=("thread", "process"),
    )
    store_results: bool = _setting(False, "write results to asynq:result:ID")
    result_ttl: float = _setting(3600.0, "life of a stored result", least=1)
    max_retry: int = _setting(3, "retries of a task that does not say", least=0)
    timeout: float = _setting(1800.0, "longest run of a task that does not say", least=0.001)
    retry_delay: float = _setting(1.0, "the first retry's delay, doubled each time", least=0)
    retry_delay_max: float = _setting(600.0, "the longest delay between retries", least=0)
    lease: float = _setting(
        15.0, "a worker that is silent for so long has lost its tasks", least=0.5
    )
    shutdown_timeout: float = _setting(2.0, "how long a stop waits for running tasks", least=0)
    cancel_grace: float = _setting(
        5.0, "how long a handler may take to end once it was cancelled", least=0
    )
    unique_ttl: float = _setting(3600.0, "how long --unique gives a finished task back", least=0)
    completed_ttl: float = _setting(DAY, "life of a completed task's record; 0 deletes it", least=0)
    completed_cap: int = _setting(10_000, "completed tasks kept per queue", least=0)
    archived_ttl: float = _setting(90 * DAY, "life of an archived task's record", least=0)
    archived_cap: int = _setting(10_000, "archived tasks kept per queue", least=0)
    crash_limit: int = _setting(3, "a task that killed its process so often is archived", least=1)
    switch_interval: float = _setting(
        0.0001, "longest turn of a thread while tasks run; 0 leaves Python's own", least=0
    )
    webhook_secret: str | None = _setting(
        None, "signs webhooks: whsec_..., or two while one replaces the other", is_shown=False
    )
    deliver_schedule: str = _setting(
        "0s 5s 5m 30m 2h 5h 10h 14h 20h 24h", "the waits before the attempts to deliver a result"
    )
    deliver_deadline: float = _setting(15.0, "longest attempt to deliver a result", least=0.1)
    deliveries_ttl: float = _setting(DAY, "life of a finished delivery's record", least=1)
    deliveries_cap: int = _setting(1_000, "finished deliveries kept", least=1)
    spool_ttl: float = _setting(
        7 * DAY, "life of a large result in the spool that nobody could deliver", least=1
    )
    spool_mb: int = _setting(4_096, "megabytes of large results that wait in the spool", least=1)
    guardian: bool = _setting(True, "a helper process hands tasks back when the kernel dies")


FIELDS = {item.name: item for item in fields(Settings)}


def resolve(
    arguments: Mapping[str, object] | None = None,
    config: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings in force; raises SettingsError naming the source of a bad name or value."""
    values: dict[str, object] = {}
    for found in (
        _project(folder),
        _environment(os.environ if environ is None else environ),
        _said(config, "%config Runqy"),
        _said(arguments, "an argument"),
    ):
        checked = {name: converted(name, value, source) for name, value, source in found}
        if "url" in checked and "embedded" not in checked:
            checked["embedded"] = False  # a nearer source that names a server means it
        values |= checked
    return Settings(**values)  # type: ignore[arg-type]


def converted(name: str, value: object, source: str) -> object:
    """`value` in the type of the setting `name`; raises SettingsError otherwise."""
    if name not in FIELDS:
        hint = did_you_mean(name, FIELDS) or f" The settings are {', '.join(FIELDS)}."
        raise SettingsError(f"There is no setting {name!r} ({source}).{hint}")
    kind = str(FIELDS[name].type).removesuffix(" | None")
    is_secret = not FIELDS[name].repr
    shown = f"a {type(value).__name__}" if is_secret else one_line(repr(value), 80)
    try:
        ready = _CONVERTERS[kind](value)
    except (TypeError, ValueError, ArithmeticError):
        raise SettingsError(
            f"The setting {name} wants {_KINDS[kind]}, not {shown} ({source})."
        ) from None
    least, most = FIELDS[name].metadata["least"], FIELDS[name].metadata["most"]
    if least is not None and not least <= ready <= most:
        bound = f"at least {least:g}" if ready < least else f"at most {most}"
        raise SettingsError(f"The setting {name} must be {bound}, not {shown} ({source}).")
    among = FIELDS[name].metadata["among"]
    if among and ready not in among:
        options = " ".join(among)
        raise SettingsError(f"The setting {name} is one of {options} and not {shown} ({source}).")
    if name == "webhook_secret" and not all(map(_SECRET.fullmatch, str(ready).split())):
        raise SettingsError(
            "The setting webhook_secret wants 'whsec_' and the base64 of 24 to 64 bytes, or two of "
            f"them separated by a space; this is not so ({source})."
        )
    if name == "deliver_schedule":
        checked_waits(str(ready), source)
    return ready


_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_UNITS |= {"d": DAY, "w": 7 * DAY}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|ms|[smhdw])", re.ASCII)
_DURATION = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def seconds_of(duration: object) -> float:
    """Seconds in a number, a timedelta, or text as Go writes it ("90s", "1h30m", "500ms"; "90" is
    seconds too); raises TypeError, ValueError or OverflowError for anything else, NaN included.
    """
    if isinstance(duration, timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, str) and _DURATION.fullmatch(text := duration.strip()):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    elif isinstance(duration, (str, Real)) and not isinstance(duration, bool):
        seconds = float(duration)
    else:
        raise TypeError(duration)
    if not abs(seconds) < float("inf"):
        raise ValueError(duration)
    return seconds


def checked_seconds(name: str, duration: object, least: float) -> float:
    """Seconds of an option called `name`; raises ValueError with a sentence."""
    try:
        seconds = seconds_of(duration)
    except (TypeError, ValueError, OverflowError):
        seconds = -1.0
    if not least <= seconds <= MOST:
        shown = one_line(repr(duration), 80)
        raise ValueError(f"{name} must be a number of seconds from {least:g}, not {shown}.")
    return seconds


def checked_waits(text: str, source: str) -> tuple[float, ...]:
    """Seconds in durations separated by spaces, such as "0s 5s 5m"; raises SettingsError."""
    try:
        waits = tuple(seconds_of(word) for word in text.split())
    except (ValueError, OverflowError):
        waits = ()
    if not 1 <= len(waits) <= _MOST_ATTEMPTS or not all(0 <= wait <= MOST for wait in waits):
        raise SettingsError(
            f"The setting deliver_schedule wants 1 to {_MOST_ATTEMPTS} durations separated by "
            f"spaces, such as '0s 5s 5m', not {one_line(repr(text), 80)} ({source})."
        )
    return waits


def checked_count(name: str, number: object) -> int:
    """A whole number from 0 of an option called `name`; raises ValueError with a sentence."""
    if isinstance(number, Integral) and not isinstance(number, bool) and 0 <= int(number) <= MOST:
        return int(number)
    shown = one_line(repr(number), 80)
    raise ValueError(f"{name} must be a whole number from 0, not {shown}.")


def checked_flag(name: str, flag: object) -> bool:
    """True or False (or numpy's) of an option called `name`; raises ValueError with a sentence."""
    if isinstance(flag, bool) or type(flag).__name__ in ("bool_", "bool"):
        return bool(flag)
    raise ValueError(f"{name} must be True or False, not {one_line(repr(flag), 80)}.")


_Found = Iterator[tuple[str, object, str]]
"""Name, value, and where they stand, of what one source says."""


def _said(values: Mapping[str, object] | None, source: str) -> _Found:
    for name, value in (values or {}).items():
        if value is not None:
            yield name, value, source


def _environment(environ: Mapping[str, str]) -> _Found:
    for name in FIELDS:
        variable = f"RUNQY_{name.upper()}"
        if name != "url" and environ.get(variable):
            yield name, environ[variable], f"{variable} in the environment"
    for variable in ("RUNQY_URL", "RUNQY_REDIS_URL", "REDIS_URL"):
        if environ.get(variable):
            yield "url", environ[variable], f"{variable} in the environment"
            return
    if environ.get("REDIS_HOST"):
        yield "url", _runqy_server_url(environ), "REDIS_HOST in the environment"


def _runqy_server_url(environ: Mapping[str, str]) -> str:
    """The URL that REDIS_HOST, REDIS_PORT, REDIS_PASSWORD and REDIS_TLS spell together."""
    scheme = "rediss" if environ.get("REDIS_TLS", "").lower() in ("1", "true", "yes") else "redis"
    host, _, port = environ["REDIS_HOST"].partition(":")
    if ":" in port:  # an IPv6 address
        host, port = f"[{environ['REDIS_HOST'].strip('[]')}]", ""
    # Kubernetes sets REDIS_PORT=tcp://10.0.0.1:6379 in every pod beside a service named redis.
    port = environ.get("REDIS_PORT", "").rpartition(":")[2] or port or "6379"
    password = environ.get("REDIS_PASSWORD", "")
    login = f":{quote(password, safe='')}@" if password else ""
    return f"{scheme}://{login}{host}:{port}/0"


def _project(folder: Path | None) -> _Found:
    """What the nearest pyproject.toml at or above `folder` says; paths in it are relative to it."""
    path = _project_file(folder)
    table = _read_toml(path).get("tool") if path else None
    ours = table.get("runqy-notebook") if isinstance(table, dict) else None
    if path is None or not isinstance(ours, dict):
        return
    for key, value in ours.items():
        name = key.replace("-", "_")
        if name in ("state_dir", "config_file") and isinstance(value, str):
            value = str(path.parent / Path(value).expanduser())
        yield name, value, f"[tool.runqy-notebook] in {path}"


def _project_file(folder: Path | None) -> Path | None:
    try:
        start = folder or Path.cwd()
        paths = [each / "pyproject.toml" for each in (start, *start.parents)]
        return next((path for path in paths if path.is_file()), None)
    except OSError:  # the working directory was deleted, or is not ours to look at
        return None


def _read_toml(path: Path) -> dict[str, Any]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        return dict(toml.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}  # somebody else's broken file is not ours to complain about


def _to_bool(value: object) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word in ("1", "true", "yes", "on"):
            return True
        if word in ("0", "false", "no", "off", ""):
            return False
        raise ValueError(value)
    if value in (0, 1):
        return bool(value)
    raise TypeError(value)


def _to_int(value: object) -> int:
    number = float(value)  # type: ignore[arg-type]
    if isinstance(value, bool) or number != int(number):
        raise ValueError(value)
    return int(number)


def _to_text(value: object) -> str:
    if not isinstance(value, (str, Path)):
        raise TypeError(value)
    return str(value)


_CONVERTERS = {"bool": _to_bool, "int": _to_int, "float": seconds_of, "str": _to_text}
_KINDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number of seconds",
    "str": "text",
}
