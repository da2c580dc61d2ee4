"""What `@load` made, kept for the handlers."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from typing import Any

from runqy_notebook.tasks import Loader

_NOT_YET = object()
_FAREWELL = 1.0  # seconds that what a handler left on its loop gets to end


class SlotLoop:
    """The event loop of one slot, made when the first async function needs it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """The coroutine's value; tasks it leaves behind go on during the next run. What it calls
        may run this loop, or another one, from within.
        """
        if self._loop is None:
            from runqy_notebook.worker import nesting  # loaded with the first async function

            self._loop = nesting.open_loop()
        return self._loop.run_until_complete(coroutine)

    def close(self) -> None:
        """Cancels what is still running on the loop and closes it."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        try:
            loop.run_until_complete(_cancel_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            from runqy_notebook.worker import nesting

            nesting.close_loop(loop)


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_FAREWELL)


class Contexts:
    """The values of the loaders: one per worker, or one per slot for an async loader."""

    def __init__(self) -> None:
        self._values: dict[tuple[Loader, SlotLoop | None], object] = {}
        self._locks: dict[Loader, threading.RLock] = {}

    def of(self, loader: Loader | None, loop: SlotLoop) -> object:
        """The context that `loader` makes, made now where it was not yet; None without a loader.

        A loader that was defined again is another loader: its context is made anew. Raises
        whatever the user's function raises.
        """
        if loader is None:
            return None
        key = (loader, loop if loader.is_async else None)
        value = self._values.get(key, _NOT_YET)
        if value is _NOT_YET:
            with self._locks.setdefault(loader, threading.RLock()):
                value = self._values.get(key, _NOT_YET)
                if value is _NOT_YET:
                    value = self._values[key] = _loaded(loader, loop)
        return value

    def forget_others(self, loaders: set[Loader]) -> None:
        """Lets go of what loaders made that are no longer in force."""
        for key in list(self._values):
            if key[0] not in loaders:
                self._values.pop(key, None)
                self._locks.pop(key[0], None)

    def forget_slot(self, loop: SlotLoop) -> None:
        """Lets go of what was made for a slot that has ended."""
        for key in list(self._values):
            if key[1] is loop:
                self._values.pop(key, None)


def _loaded(loader: Loader, loop: SlotLoop) -> object:
    value = loader.function()
    return loop.run(value) if inspect.iscoroutine(value) else value
