"""Settings and where they come from.

A value is taken from the first that has it: an argument, `%config Runqy.x`, the environment
(`RUNQY_X`, and `REDIS_URL` or `REDIS_HOST/PORT/PASSWORD/TLS` as runqy's server reads them), the
nearest pyproject.toml's `[tool.runqy-notebook]`, the default here.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

from runqy_notebook.errors import SettingsError, did_you_mean

DAY = 86_400.0


def _setting(default: object, help_text: str, *, least: float | None = None) -> Any:
    return field(default=default, metadata={"help": help_text, "least": least})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a session is set to. Durations are seconds."""

    url: str | None = _setting(None, "Redis URL; without one localhost:6379, else embedded")
    embedded: bool = _setting(False, "always use the embedded server")
    embedded_ttl: float = _setting(
        300.0, "the embedded server ends so long after its last client", least=1
    )
    state_dir: str | None = _setting(None, "where the embedded server keeps its data")
    queue: str | None = _setting(None, "the queue that run() serves")
    config_file: str | None = _setting(None, "a runqy worker's config.yml")
    separator: str = _setting("_", "between a parent queue and its sub-queue: _ : or .")
    concurrency: int = _setting(1, "tasks that a worker runs at a time", least=1)
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
    unique_ttl: float = _setting(3600.0, "how long --unique gives a finished task back", least=0)
    completed_ttl: float = _setting(DAY, "life of a completed task's record; 0 deletes it", least=0)
    completed_cap: int = _setting(10_000, "completed tasks kept per queue", least=0)
    archived_ttl: float = _setting(90 * DAY, "life of an archived task's record", least=0)
    archived_cap: int = _setting(10_000, "archived tasks kept per queue", least=0)


FIELDS = {item.name: item for item in fields(Settings)}


def resolve(
    arguments: Mapping[str, object] | None = None,
    config: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """The settings in force; raises SettingsError naming the source of a bad name or value."""
    environ = os.environ if environ is None else environ
    values: dict[str, object] = {}
    for source, found in (
        ("[tool.runqy-notebook] in pyproject.toml", _project(folder or Path.cwd())),
        ("the environment", _environment(environ)),
        ("%config Runqy", dict(config or {})),
        ("an argument", {k: v for k, v in (arguments or {}).items() if v is not None}),
    ):
        checked = {name: converted(name, value, source) for name, value in found.items()}
        if "url" in checked and "embedded" not in checked:
            checked["embedded"] = False  # a nearer source that names a server means it
        values |= checked
    return Settings(**values)  # type: ignore[arg-type]


def converted(name: str, value: object, source: str) -> object:
    """`value` in the type of the setting `name`; raises SettingsError otherwise."""
    if name not in FIELDS:
        raise SettingsError(f"There is no setting {name!r} ({source}).{did_you_mean(name, FIELDS)}")
    kind = str(FIELDS[name].type).removesuffix(" | None")
    try:
        ready = _CONVERTERS[kind](value)
    except (TypeError, ValueError):
        raise SettingsError(
            f"The setting {name} wants {_KINDS[kind]}, not {value!r} ({source})."
        ) from None
    least = FIELDS[name].metadata["least"]
    if least is not None and not ready >= least:
        raise SettingsError(
            f"The setting {name} must be at least {least:g}, not {value!r} ({source})."
        )
    if name == "separator" and ready not in ("_", ":", "."):
        raise SettingsError(f"The setting separator is one of _ : . and not {value!r} ({source}).")
    return ready


def _environment(environ: Mapping[str, str]) -> dict[str, object]:
    found: dict[str, object] = {}
    if environ.get("REDIS_HOST"):
        found["url"] = _runqy_server_url(environ)
    for variable in ("REDIS_URL", "RUNQY_REDIS_URL", "RUNQY_URL"):
        if environ.get(variable):
            found["url"] = environ[variable]
    for name in FIELDS:
        if name != "url" and environ.get(f"RUNQY_{name.upper()}"):
            found[name] = environ[f"RUNQY_{name.upper()}"]
    return found


def _runqy_server_url(environ: Mapping[str, str]) -> str:
    """The URL that REDIS_HOST, REDIS_PORT, REDIS_PASSWORD and REDIS_TLS spell together."""
    scheme = "rediss" if environ.get("REDIS_TLS", "").lower() in ("1", "true", "yes") else "redis"
    host, _, port = environ["REDIS_HOST"].partition(":")
    password = environ.get("REDIS_PASSWORD", "")
    login = f":{quote(password, safe='')}@" if password else ""
    return f"{scheme}://{login}{host}:{environ.get('REDIS_PORT') or port or '6379'}/0"


def _project(folder: Path) -> dict[str, object]:
    """The table of the nearest pyproject.toml at or above `folder` (none: empty)."""
    for candidate in (folder, *folder.parents):
        path = candidate / "pyproject.toml"
        if path.is_file():
            table = _read_toml(path).get("tool", {}).get("runqy-notebook", {})
            return {name.replace("-", "_"): value for name, value in table.items()}
    return {}


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


def _to_float(value: object) -> float:
    if isinstance(value, bool):
        raise TypeError(value)
    number = float(value)  # type: ignore[arg-type]
    if not abs(number) < float("inf"):
        raise ValueError(value)
    return number


def _to_text(value: object) -> str:
    if not isinstance(value, (str, Path)):
        raise TypeError(value)
    return str(value)


_CONVERTERS = {"bool": _to_bool, "int": _to_int, "float": _to_float, "str": _to_text}
_KINDS = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "text"}
