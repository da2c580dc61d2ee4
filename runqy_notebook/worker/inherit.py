"""Threads that a handler starts belong to its task: what they print is the task's.

Python 3.14 has this as an option (`-X thread_inherit_context`); here only our own variable is
inherited. A pool's threads outlive the task that first used it, so there each call carries the
task of whoever made it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from runqy_notebook.running import CURRENT, CurrentTask

_OURS = "runqy-"  # what our own threads are called: they serve every task, whoever needs them first

_thread_start: Any = None
_submit: Any = None


def start() -> None:
    """From now on threads and calls in pools belong to the task of whoever starts them."""
    global _thread_start, _submit
    _thread_start, _submit = threading.Thread.start, ThreadPoolExecutor.submit
    threading.Thread.start = _start  # type: ignore[method-assign]
    ThreadPoolExecutor.submit = _submitted  # type: ignore[method-assign]


def stop() -> None:
    """Undoes `start`, unless somebody else has put his own functions over ours: then they pass
    everything on.
    """
    if threading.Thread.start is _start:
        threading.Thread.start = _thread_start  # type: ignore[method-assign]
    if ThreadPoolExecutor.submit is _submitted:
        ThreadPoolExecutor.submit = _submit  # type: ignore[method-assign]


def _start(self: threading.Thread) -> None:
    task = CURRENT.get()
    if task is not None and not self.name.startswith(_OURS):
        run = _belonging(task, self.run)

        def once() -> None:
            del self.run  # it refers to the thread, which refers to it
            run()

        self.run = once  # type: ignore[method-assign]
    _thread_start(self)


def _submitted(self: Any, function: Any, /, *args: Any, **kwargs: Any) -> Any:
    task = CURRENT.get()
    if task is None:
        return _submit(self, function, *args, **kwargs)
    token = CURRENT.set(None)  # a thread that is started now belongs to nobody
    try:
        return _submit(self, _belonging(task, function), *args, **kwargs)
    finally:
        CURRENT.reset(token)


def _belonging(task: CurrentTask, function: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        token = CURRENT.set(task)
        try:
            return function(*args, **kwargs)
        finally:
            CURRENT.reset(token)

    return called
