"""What `@load` made, kept for the handlers."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Coroutine
from typing import Any

from runqy_notebook.tasks import Loader


class SlotLoop:
    """The event loop of one slot, made when the first async function needs it."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, object]) -> object:
        """The coroutine's value; tasks it leaves behind go on during the next run."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(coroutine)

    def close(self) -> None:
        """Cancels what is still running on the loop and closes it."""
        if self._loop is None or self._loop.is_running():
            return
        loop, self._loop = self._loop, None
        loop.run_until_complete(_cancel_all())
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _cancel_all() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


class Contexts:
    """The values of the loaders: one per worker, or one per slot for an async loader."""

    def __init__(self) -> None:
        self._values: dict[tuple[Loader, SlotLoop | None], object] = {}
        self._lock = threading.RLock()

    def of(self, loader: Loader | None, loop: SlotLoop) -> object:
        """The context that `loader` makes, made now where it was not yet; None without a loader.

        A loader that was defined again is another loader: its context is made anew. Raises
        whatever the user's function raises.
        """
        if loader is None:
            return None
        key = (loader, loop if loader.is_async else None)
        with self._lock:
            if key not in self._values:
                value = loader.function()
                if inspect.iscoroutine(value):
                    value = loop.run(value)
                self._values[key] = value
            return self._values[key]

    def forget_others(self, loaders: set[Loader]) -> None:
        """Lets go of what loaders made that are no longer in force."""
        with self._lock:
            for key in [key for key in self._values if key[0] not in loaders]:
                del self._values[key]
