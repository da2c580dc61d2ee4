"""A runqy worker's config.yml, as its documentation writes it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from runqy_notebook.errors import SettingsError
from runqy_notebook.settings import converted

_SETTINGS = {
    "concurrency": "concurrency",
    "RedisStorage": "store_results",
    "redis_storage": "store_results",
    "shutdown_timeout": "shutdown_timeout",
}


@dataclass(frozen=True, slots=True)
class WorkerFile:
    """What the file says: the queues to serve, their priorities where given, and settings."""

    queues: tuple[str, ...]
    priorities: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)


def read_worker_file(path: str | Path) -> WorkerFile:
    """Reads `worker: {queue, queues, concurrency, RedisStorage or redis_storage,
    shutdown_timeout}`; other keys are named in one warning.

    Raises SettingsError for a file that cannot be read or a value that cannot be used.
    """
    worker = _worker_section(Path(path))
    unknown = sorted(set(worker) - {"queue", "queues"} - set(_SETTINGS))
    if unknown:
        warnings.warn(
            f"{path}: this worker has no use for worker.{', worker.'.join(unknown)}.", stacklevel=2
        )
    named = worker.get("queues") or []
    names = [worker["queue"]] if worker.get("queue") else []
    names += list(named) if isinstance(named, (list, dict)) else [named]
    priorities = named if isinstance(named, dict) else {}
    settings = {
        _SETTINGS[key]: converted(_SETTINGS[key], _seconds(key, value), str(path))
        for key, value in worker.items()
        if key in _SETTINGS
    }
    return WorkerFile(
        tuple(dict.fromkeys(map(str, names))),
        {str(name): _priority(level, path) for name, level in priorities.items()},
        settings,
    )


def _worker_section(path: Path) -> dict[str, object]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    worker = content.get("worker") if isinstance(content, dict) else None
    if not isinstance(worker, dict):
        raise SettingsError(f"{path} has no `worker:` section with `queue:` in it.")
    return {str(key): value for key, value in worker.items()}


def _seconds(key: str, value: object) -> object:
    """Go writes durations as "30s"; a bare number is seconds too."""
    if key == "shutdown_timeout" and isinstance(value, str):
        return value.strip().removesuffix("s")
    return value


def _priority(level: object, path: str | Path) -> int:
    if isinstance(level, bool) or not isinstance(level, int):
        raise SettingsError(f"{path}: a queue's priority is a whole number, not {level!r}.")
    return level
