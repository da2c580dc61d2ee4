"""`%runqy board`."""

from __future__ import annotations

from collections.abc import Iterable

from runqy_notebook import boarding
from runqy_notebook.boarding import Board
from runqy_notebook.magics.commands import Cell, counted, opened
from runqy_notebook.magics.parser import Command


def board(cell: Cell, close: bool) -> Board | None:
    """Gives a new board; with `close` all of this notebook's are closed instead."""
    if close:
        n = boarding.boards().close_all("closed")
        print(f"{counted(n, 'board')} closed." if n else "No board is open.")
        return None
    return opened().board()


def board_commands() -> Iterable[Command]:
    """How it is written."""
    command = Command(("board",), "the queues as a widget, to look at and click", board)
    yield command.argument("--close", action="store_true", help="close this notebook's boards")
