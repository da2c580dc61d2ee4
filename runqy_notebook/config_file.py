"""A runqy worker's config.yml, as its documentation writes it."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from runqy_notebook.errors import QueueNameError, RunqyNotice, SettingsError, one_line
from runqy_notebook.settings import converted
from runqy_notebook.wire import queues

_SETTINGS = {
    "concurrency": "concurrency",
    "RedisStorage": "store_results",
    "redis_storage": "store_results",
    "shutdown_timeout": "shutdown_timeout",
}
_FOR_OTHERS = {"server", "bootstrap", "git", "deployment", "retry", "recovery"}
"""Sections by which a runqy worker finds its server and its code; we need neither."""

_VARIABLE = re.compile(r"\$\{([^}:\s]+)(?::-([^}]*))?\}")


@dataclass(frozen=True, slots=True)
class WorkerFile:
    """What the file says: the queues to serve, their priorities where given, and settings."""

    queues: tuple[str, ...]
    priorities: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


def read_worker_file(path: str | Path) -> WorkerFile:
    """Reads `worker: {queue, queues, concurrency, RedisStorage or redis_storage,
    shutdown_timeout}`; other keys are named in one RunqyNotice. `queues` is a list, or a mapping
    from queue to priority. `${VAR}` and `${VAR:-default}` stand for environment variables.

    Raises SettingsError for a file that cannot be read or a value that cannot be used.
    """
    path = Path(path).expanduser()
    worker = _worker_section(path)
    priorities = {**_queues(path, "queue", worker), **_queues(path, "queues", worker)}
    settings = {
        _SETTINGS[key]: converted(_SETTINGS[key], value, f"worker.{key} in {path}")
        for key, value in worker.items()
        if key in _SETTINGS and value is not None
    }
    return WorkerFile(
        tuple(priorities),
        {name: level for name, level in priorities.items() if level is not None},
        settings,
    )


def _worker_section(path: Path) -> dict[str, object]:
    content = _read(path)
    worker = content.get("worker") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(worker, dict):
        raise SettingsError(f"{path} has no section `worker:` with `queue:` in it.")
    unknown = sorted(map(str, set(content) - {"worker"} - _FOR_OTHERS))
    unknown += sorted(f"worker.{key}" for key in set(worker) - {"queue", "queues"} - set(_SETTINGS))
    if unknown:
        warnings.warn(
            f"{path}: this worker has no use for {', '.join(unknown)}.", RunqyNotice, stacklevel=1
        )
    return {str(key): value for key, value in worker.items()}


def _read(path: Path) -> object:
    import yaml  # takes 10 ms, and most sessions read no such file

    try:
        text = path.read_text(encoding="utf-8")
        return yaml.safe_load(_VARIABLE.sub(_value_of_variable, text))
    except OSError as error:
        raise SettingsError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"{path} is not YAML: {_problem(error)}.") from None


def _value_of_variable(found: re.Match[str]) -> str:
    return os.environ.get(found[1]) or found[2] or ""


def _problem(error: Exception) -> str:
    """What is wrong and in which line, where the parser knows."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return one_line(error)
    what = getattr(error, "problem", None) or getattr(error, "context", None)
    return f"{what} in line {mark.line + 1}"


def _queues(path: Path, key: str, worker: Mapping[str, object]) -> dict[str, int | None]:
    """The queues that this key names, with their priorities (None where it gives none)."""
    named = worker.get(key)
    if named is None:
        return {}
    listed = named if isinstance(named, (list, dict)) else [named]
    try:
        names = [queues.checked(name) for name in listed]
    except QueueNameError as error:
        raise SettingsError(f"{path}: worker.{key}: {error}") from None
    if not isinstance(named, dict):
        return dict.fromkeys(names)
    return {name: _priority(path, name, named[name]) for name in names}


def _priority(path: Path, name: str, level: object) -> int | None:
    if level is None or (isinstance(level, int) and not isinstance(level, bool)):
        return level
    raise SettingsError(
        f"{path}: the priority of {name} is a whole number, not {one_line(repr(level), 80)}."
    )
