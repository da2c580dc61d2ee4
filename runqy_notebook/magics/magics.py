"""`%runqy` and `%%runqy`: one magic, the commands behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from IPython.core.magic import no_var_expand

from runqy_notebook.errors import UsageError
from runqy_notebook.magics.commands import Cell, all_commands
from runqy_notebook.magics.parser import Command, find

_HELP = """A task queue you can hold in a notebook cell.

{commands}

PAYLOAD is a JSON object or a Python expression: {{"pixels": row}}, dict(x=1), df; a list or a
DataFrame enqueues a task for each item. It may contain spaces and stand before or after options.
%%runqy enqueue QUEUE takes it from the cell's body: JSON, JSON lines, or a Python expression.
QUEUE is one queue, or a parent queue with all its sub-queues (inference: inference_high, ...).
DURATION is seconds, or 500ms, 10m, 1h30m. TIME is 18:30, or 2030-01-31T18:30.

    t = %runqy enqueue inference {{"x": 1}}      a handle: await t, t.result(timeout=10), t.state
    %runqy worker start inference              runs @task handlers of this notebook
    %config Runqy.concurrency = 4              settings; %config Runqy lists them
"""


def make(
    ipython: Any, connect_options: Callable[[], dict[str, Any]], commands: list[Command]
) -> Any:
    """The magic's function for this shell; its docstring is what `%%runqy?` shows."""

    @no_var_expand  # type: ignore[untyped-decorator]
    def runqy(line: str, cell: str | None = None) -> object:
        command, words = find(commands, line)
        if cell is not None and not command.takes_body:
            raise UsageError(f"%%runqy {' '.join(command.words)} takes no body: write one %.")
        if "--help" in words or "-h" in words:
            print(f"{command.usage}\n{command.help}")
            return None
        arguments = vars(command.parse(words))
        return command.act(Cell(ipython.ev, cell, connect_options), **arguments)

    runqy.__doc__ = _HELP.format(commands="\n".join(map(_line, commands)))
    return runqy


def _line(command: Command) -> str:
    return f"{command.usage}\n        {command.help}"


__all__ = ["all_commands", "make"]
