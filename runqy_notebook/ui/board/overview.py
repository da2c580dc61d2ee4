"""The first panel: what the queues hold."""

from __future__ import annotations

from typing import Any

from runqy_notebook.errors import one_line
from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import Panel, set_trait
from runqy_notebook.ui.text import duration
from runqy_notebook.wire.states import State

STATES = [state.value for state in State]


class Overview(Panel):
    """The queues, a row each."""

    title = "Overview"

    def make(self) -> Any:
        import ipywidgets

        self._table = ipywidgets.HTML()
        return ipywidgets.VBox([self._table])

    def refresh(self) -> None:
        set_trait(self._table, "value", self.html())

    def html(self) -> str:
        return html.rendered("board/queues.html", states=STATES, rows=self._rows())

    def text(self) -> str:
        rows = [["queue", *STATES, "oldest"], *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip()
            for row in rows
        )

    def _rows(self) -> list[list[str]]:
        return [
            [
                one_line(record.queue, 60),
                *(f"{getattr(record, state):,}" for state in STATES),
                duration(record.oldest_pending_s) if record.oldest_pending_s is not None else "",
            ]
            for record in self.context.pulse.records
        ]
