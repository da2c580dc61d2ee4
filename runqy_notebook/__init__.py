"""A task queue you can hold in a notebook cell: `%load_ext runqy_notebook`.

See `%runqy?` in a notebook, and README.md.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING, Any

from runqy_notebook.ui import accessor as _accessor
from runqy_notebook.uncollected import uncollected

if TYPE_CHECKING:
    from runqy_notebook.current import connect, run
    from runqy_notebook.errors import RunqyError
    from runqy_notebook.handles import TaskGroup, TaskHandle
    from runqy_notebook.running import CancelledTaskError, CurrentTask, current_task
    from runqy_notebook.session import Session
    from runqy_notebook.tasks import Fail, Retry, RunqyNotice, load, task

__version__ = "0.1.0"

_HOMES = {
    "connect": "current",
    "run": "current",
    "RunqyError": "errors",
    "TaskGroup": "handles",
    "TaskHandle": "handles",
    "CancelledTaskError": "running",
    "CurrentTask": "running",
    "current_task": "running",
    "Session": "session",
    "Fail": "tasks",
    "Retry": "tasks",
    "RunqyNotice": "tasks",
    "load": "tasks",
    "task": "tasks",
}

__all__ = [
    "CancelledTaskError",
    "CurrentTask",
    "Fail",
    "Retry",
    "RunqyError",
    "RunqyNotice",
    "Session",
    "TaskGroup",
    "TaskHandle",
    "connect",
    "current_task",
    "load",
    "load_ipython_extension",
    "run",
    "task",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used: loading the package stays cheap."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(_imported(_HOMES[name]), name)


def load_ipython_extension(ipython: Any) -> None:
    """`%load_ext runqy_notebook`."""
    _imported("_extension").load(ipython)


def unload_ipython_extension(ipython: Any) -> None:
    """`%unload_ext runqy_notebook`: nothing of it stays behind."""
    _imported("_extension").unload(ipython)


def _imported(name: str) -> ModuleType:
    with uncollected():
        return importlib.import_module(f"{__name__}.{name}")


_accessor.offer()
