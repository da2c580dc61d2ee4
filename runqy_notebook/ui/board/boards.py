"""The boards of one shell. What a board is made of is imported with the first one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.session import Session
from runqy_notebook.ui.clicking import has_widgets, is_voila
from runqy_notebook.ui.live import Live

if TYPE_CHECKING:
    from runqy_notebook.ui.board.board import Board
    from runqy_notebook.ui.board.place import Place


class Boards:
    """Opens boards and knows those that are open; a cell run again has one."""

    def __init__(self, shell: Any, live: Live) -> None:
        self._shell = shell
        self._live = live
        self._open: list[Board] = []

    def open(self, session: Session) -> Board:
        """A new board of this session, not shown yet."""
        from runqy_notebook.ui.board.board import Board
        from runqy_notebook.ui.board.panels import PANELS

        publisher = self._live.publisher
        if publisher.cell_id is not None:
            for before in [each for each in self._open if publisher.cell_id in each.cells]:
                before.close()

        def show_card(made: TaskHandle | TaskGroup, place: Place) -> None:
            place.clear()
            place.on_leave = self._live.cards.show_on(session, made, place)

        return Board(
            session,
            self._shell,
            publisher,
            PANELS,
            show_card,
            has_widgets=has_widgets(publisher),
            is_kept=not is_voila(),
            on_open=self._open.append,
            on_close=self._forget,
        )

    def close_all(self, why: str) -> int:
        """Closes all boards; how many there were."""
        boards = list(self._open)
        for board in boards:
            board.close(why)
        return len(boards)

    def _forget(self, board: Board) -> None:
        if board in self._open:
            self._open.remove(board)
