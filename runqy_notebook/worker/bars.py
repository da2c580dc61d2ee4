"""tqdm's notebook bars are text bars within handlers: a widget would show in a random cell.

`tqdm.auto` and `tqdm.notebook` make, in a handler, what `tqdm.tqdm` makes: a line of text that is
written over and over, which the task's log understands. Elsewhere nothing changes.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from runqy_notebook.running import CURRENT

_MODULE = "tqdm.notebook"


class _Finder(importlib.abc.MetaPathFinder):
    """Changes the module when it is imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != _MODULE:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                if _finder in sys.meta_path:
                    _change(module)

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec


_finder = _Finder()


def start() -> None:
    """From now on, and once tqdm is imported."""
    sys.meta_path.insert(0, _finder)
    if module := sys.modules.get(_MODULE):
        _change(module)


def stop() -> None:
    """Undoes `start`."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    bar = getattr(sys.modules.get(_MODULE), "tqdm_notebook", None)
    if bar is not None and _is_changed(bar):
        del bar.__new__


def _change(module: ModuleType) -> None:
    bar = getattr(module, "tqdm_notebook", None)
    if bar is not None and "__new__" not in vars(bar):
        bar.__new__ = staticmethod(_new)


def _is_changed(bar: Any) -> bool:
    return getattr(vars(bar).get("__new__"), "__func__", None) is _new


def _new(cls: Any, *args: Any, **options: Any) -> Any:
    task = CURRENT.get()
    if task is None or task.report is None or not cls.__module__.startswith("tqdm."):
        return super(_bar(), cls).__new__(cls, *args, **options)
    from tqdm.asyncio import tqdm_asyncio  # what tqdm.auto is where there is no notebook

    options.pop("display", None)
    # It is no `cls`, so Python does not call __init__ on it once more.
    return tqdm_asyncio(*args, **options)


def _bar() -> Any:
    return sys.modules[_MODULE].tqdm_notebook
