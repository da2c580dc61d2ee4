"""Handlers written for production run unchanged: `from runqy_task import task, load, run`.

While taken over, the SDK modules `runqy_task` and `runqy_python` hand out this package's
decorators and `run`. Where PyPI's package is installed its own module is imported and those names
are replaced in it (its `run` would read stdin, its `task` refuses a cell that is run again); where
it is not, a module of that name appears with just those names.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from runqy_notebook.tasks import REGISTRY, Handler, Loader, Registry, load, task

SDK_MODULES = ("runqy_task", "runqy_python")


class RetryableError(Exception):
    """The SDK's way to ask for another attempt; here every error gets one while retries last."""


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports the SDK modules with our names in them."""

    def __init__(self, run: Callable[..., Any]) -> None:
        self.names = {"task": task, "load": load, "run": run, "run_once": run}
        self.stand_ins: list[ModuleType] = []
        self.replaced: list[tuple[ModuleType, str, object]] = []
        self._real: dict[str, importlib.machinery.ModuleSpec] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in SDK_MODULES:
            return None
        real = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if real is None or real.loader is None:
            return importlib.machinery.ModuleSpec(fullname, self)
        self._real[fullname] = real
        wrapped = importlib.machinery.ModuleSpec(
            fullname, self, origin=real.origin, is_package=True
        )
        wrapped.submodule_search_locations = real.submodule_search_locations
        return wrapped

    def exec_module(self, module: ModuleType) -> None:
        real = self._real.get(module.__name__)
        if real is not None and real.loader is not None:
            module.__file__ = real.origin
            real.loader.exec_module(module)
            self.replace_in(module)
        else:
            self.stand_ins.append(module)
            module.__dict__.update(self.names, RetryableError=RetryableError)

    def replace_in(self, module: ModuleType) -> None:
        """Puts our names into a real module, and remembers what it had there."""
        for name, ours in self.names.items():
            self.replaced.append((module, name, module.__dict__.get(name, _NOTHING)))
            setattr(module, name, ours)


_NOTHING = object()
_finder: _Finder | None = None


def take_over(run: Callable[..., Any]) -> None:
    """Makes the SDK modules hand out our decorators and this `run`, imported already or later."""
    global _finder
    give_back()
    _finder = _Finder(run)
    sys.meta_path.insert(0, _finder)
    collect(REGISTRY)
    for name in SDK_MODULES:
        if module := sys.modules.get(name):
            _finder.replace_in(module)


def give_back() -> None:
    """Undoes `take_over`: the real modules get their names back, the stand-ins go."""
    global _finder
    if _finder is None:
        return
    sys.meta_path.remove(_finder)
    for module, name, before in reversed(_finder.replaced):
        if before is _NOTHING:
            delattr(module, name)
        else:
            setattr(module, name, before)
    for module in _finder.stand_ins:
        if sys.modules.get(module.__name__) is module:
            del sys.modules[module.__name__]
    _finder = None


_collected: dict[str, tuple[object, object]] = {}


def collect(registry: Registry) -> None:
    """Takes the handler and loader that an SDK module got through its own decorators, once each:
    what was registered here since then stays.
    """
    for name in SDK_MODULES:
        decorator = sys.modules.get(f"{name}.decorator")
        handler = getattr(decorator, "get_handler", lambda: None)()
        loader = getattr(decorator, "get_loader", lambda: None)()
        seen_handler, seen_loader = _collected.get(name, (None, None))
        if handler is not None and handler is not seen_handler:
            registry.add(Handler(handler))
        if loader is not None and loader is not seen_loader:
            registry.add_loader(Loader(loader))
        _collected[name] = (handler, loader)
