"""Running a task's handler where the caller stands, so that a debugger can look into it."""

from __future__ import annotations

import inspect
from typing import Any

from runqy_notebook.errors import HandlerError
from runqy_notebook.running import CURRENT, CurrentTask
from runqy_notebook.tasks import Registry
from runqy_notebook.wire.documented import Task
from runqy_notebook.wire.payload import decode_payload
from runqy_notebook.worker.contexts import Contexts, SlotLoop


class Inline:
    """Runs handlers in the calling thread. What loaders make for it is kept for the next time."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._contexts = Contexts()
        self._loop = SlotLoop()

    def run(self, task: Task, contexts: Contexts | None = None) -> object:
        """The handler's value; what it raises is raised, with its frames. Nothing is written down.

        The context is the one that plain loaders made in `contexts`, a worker's, else a new one.
        What is async runs on a loop of its own, in this thread too, also where another loop is
        running, as it is in a notebook: that one waits meanwhile, as for any other cell.
        """
        handler = self._registry.handler_for(task.queue, task.type)
        if handler is None:
            raise HandlerError(f"No handler for {task.queue}: run the cell that defines it.")
        arguments: list[Any] = [decode_payload(task.payload, task.id)]
        if handler.takes_context:
            loader = self._registry.loader_for(task.queue)
            made_by = contexts if contexts and loader and not loader.is_async else self._contexts
            arguments.append(made_by.of(loader, self._loop))
        token = CURRENT.set(CurrentTask(task, None))
        try:
            value = handler.function(*arguments)
            return self._loop.run(_awaited(value)) if inspect.isawaitable(value) else value
        except KeyboardInterrupt:
            self.close()  # or the next run would go on with this one too
            raise
        finally:
            CURRENT.reset(token)

    def close(self) -> None:
        """Ends what async handlers left behind."""
        self._contexts.forget_slot(self._loop)
        self._loop.close()


async def _awaited(value: Any) -> object:
    return await value
