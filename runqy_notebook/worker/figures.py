"""pyplot's figures are a handler's own: matplotlib keeps one list of them for all threads.

With one list a plot begun in a handler is drawn on by another handler or by a cell, shown at the
end of whatever cell ends next, and closed there. Each task has a list of its own, which goes with
it.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from runqy_notebook.running import CurrentTask, reporting_task
from runqy_notebook.worker.on_import import OnImport


class _Figures:
    """In the place of `Gcf.figs`, an OrderedDict: that of the task that looks, or everybody's."""

    def __init__(self, of_all: OrderedDict[Any, Any]) -> None:
        self.of_all = of_all
        self._by_task: weakref.WeakKeyDictionary[CurrentTask, OrderedDict[Any, Any]]
        self._by_task = weakref.WeakKeyDictionary()

    def _own(self) -> OrderedDict[Any, Any]:
        task = reporting_task()
        return self.of_all if task is None else self._by_task.setdefault(task, OrderedDict())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own(), name)

    def __len__(self) -> int:
        return len(self._own())

    def __contains__(self, number: object) -> bool:
        return number in self._own()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._own())

    def __getitem__(self, number: Any) -> Any:
        return self._own()[number]

    def __setitem__(self, number: Any, figure: Any) -> None:
        self._own()[number] = figure

    def __delitem__(self, number: Any) -> None:
        del self._own()[number]


def _change(module: ModuleType) -> None:
    figures = getattr(module, "Gcf", None)
    if figures is not None and type(figures.figs) is OrderedDict:
        figures.figs = _Figures(figures.figs)


def _undo(module: ModuleType) -> None:
    figures = getattr(module, "Gcf", None)
    if figures is not None and isinstance(figures.figs, _Figures):
        figures.figs = figures.figs.of_all


_on_import = OnImport("matplotlib._pylab_helpers", _change, _undo)
start = _on_import.start
stop = _on_import.stop
