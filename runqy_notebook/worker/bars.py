"""tqdm's notebook bars are text bars within handlers: a widget would show in a random cell.

`tqdm.auto` and `tqdm.notebook` make, in a handler, what `tqdm.tqdm` makes: a line of text that is
written over and over, which the task's log understands. Elsewhere nothing changes.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from runqy_notebook.running import reporting_task
from runqy_notebook.worker.on_import import OnImport

_MODULE = "tqdm.notebook"


def _change(module: ModuleType) -> None:
    bar = getattr(module, "tqdm_notebook", None)
    if bar is not None and "__new__" not in vars(bar):
        bar.__new__ = staticmethod(_new)


def _undo(module: ModuleType) -> None:
    bar = getattr(module, "tqdm_notebook", None)
    if bar is not None and getattr(vars(bar).get("__new__"), "__func__", None) is _new:
        del bar.__new__


_on_import = OnImport(_MODULE, _change, _undo)
start = _on_import.start
stop = _on_import.stop


def _new(cls: Any, *args: Any, **options: Any) -> Any:
    if reporting_task() is None or not cls.__module__.startswith("tqdm."):
        return super(sys.modules[_MODULE].tqdm_notebook, cls).__new__(cls, *args, **options)
    from tqdm.asyncio import tqdm_asyncio  # what tqdm.auto is where there is no notebook

    options.pop("display", None)
    # It is no `cls`, so Python does not call __init__ on it once more.
    return tqdm_asyncio(*args, **options)
