"""Changing a module of somebody else's for a while, whether it is imported by then or later."""

from __future__ import annotations

import importlib.machinery  # not importlib.abc, which takes ten times as long
import sys
from collections.abc import Callable, Sequence
from types import ModuleType


class OnImport:
    """Calls `change(module)` at `start` or when the module is imported, `undo(module)` at `stop`.

    `undo` must be fit for a module that was not changed.
    """

    def __init__(
        self, name: str, change: Callable[[ModuleType], None], undo: Callable[[ModuleType], None]
    ) -> None:
        self._name, self._change, self._undo = name, change, undo

    def start(self) -> None:
        sys.meta_path.insert(0, self)
        if module := sys.modules.get(self._name):
            self._change(module)

    def stop(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        if module := sys.modules.get(self._name):
            self._undo(module)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._name:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def executed(module: ModuleType) -> None:
                execute(module)
                if self in sys.meta_path:
                    self._change(module)

            spec.loader.exec_module = executed  # type: ignore[method-assign]
        return spec
