"""`%runqy` and `%%runqy`: one magic, the commands behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from IPython.core.magic import needs_local_scope, no_var_expand

from runqy_notebook.errors import UsageError
from runqy_notebook.magics.commands import Cell
from runqy_notebook.magics.help import help_asked_for, overview
from runqy_notebook.magics.parser import Command, find, typed
from runqy_notebook.ui.live import Live


def make(ipython: Any, commands: Sequence[Command], live: Live) -> Any:
    """The magic's function for this shell; its docstring is what `%runqy?` shows.

    `live` is what shows in the notebook; a semicolon at the end of a line keeps it quiet.
    """

    @no_var_expand  # type: ignore[untyped-decorator]
    @needs_local_scope  # type: ignore[untyped-decorator]
    def runqy(
        line: str, cell: str | None = None, local_ns: Mapping[str, object] | None = None
    ) -> object:
        words = typed(line)
        texts = [word.text for word in words]
        if cell is None and (told := help_asked_for(commands, texts)) is not None:
            print(told)
            return None
        command = find(commands, texts)
        if cell is not None and not command.takes_body:
            raise UsageError(f"%%runqy {' '.join(command.words)} takes no body: write one %.")
        evaluate = _evaluator(ipython, local_ns)
        arguments = command.parse(words[len(command.words) :], evaluate)
        is_quiet = line.rstrip().endswith(";")
        return command.act(Cell(evaluate, cell, live, is_quiet), **arguments)

    runqy.__doc__ = overview(commands)
    return runqy


def _evaluator(ipython: Any, local_ns: Mapping[str, object] | None) -> Callable[[str], object]:
    """Runs an expression where the line stands: in the notebook, or in a function."""
    if local_ns is None or local_ns is ipython.user_ns:
        return ipython.ev  # type: ignore[no-any-return]
    # One dict, as a comprehension sees no locals; a copy, as these names are not the notebook's.
    names = {**ipython.user_ns, **local_ns}
    return lambda text: eval(text, names)  # noqa: S307 - the user's own code, in the user's kernel
