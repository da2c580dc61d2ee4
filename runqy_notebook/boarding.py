"""A session's board, made by whoever can show one: sessions know no notebook."""

from __future__ import annotations

from typing import Any, Protocol

from runqy_notebook.errors import UsageError


class Board(Protocol):
    """The live widget of a session; shown by a cell whose value it is."""

    def close(self) -> None:
        """Stops its updates; a still of it stays."""

    def text(self) -> str:
        """What it shows, as plain text."""

    def html(self) -> str:
        """What it shows, as a still."""


class Boards(Protocol):
    """Whoever shows boards."""

    def open(self, session: Any) -> Board: ...
    def close_all(self, why: str) -> int: ...


_boards: Boards | None = None


def shown_by(boards: Boards | None) -> None:
    """From now on boards are shown there; None: nowhere."""
    global _boards
    _boards = boards


def boards() -> Boards:
    """Whoever shows boards here; raises UsageError where nobody does."""
    if _boards is None:
        raise UsageError("A board needs a notebook or IPython to show in: %load_ext runqy_notebook")
    return _boards


class Boarding:
    """The part of a session that is clicked."""

    def board(self) -> Board:
        """The queues as a widget to look at and click; as a cell's value it shows itself. Raises
        UsageError where the extension is not loaded.
        """
        return boards().open(self)
