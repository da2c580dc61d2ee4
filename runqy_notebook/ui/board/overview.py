"""The first panel: charts, and the queues with what can be done to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runqy_notebook.broker.records import QueueRecord
from runqy_notebook.ui.board import history, queue_table
from runqy_notebook.ui.board.charts import Chart
from runqy_notebook.ui.board.panel import Context, Panel, set_trait
from runqy_notebook.ui.board.queue_controls import QueueControls


class Overview(Panel):
    """How many tasks are where, and how it goes."""

    title = "Overview"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._span = next(iter(history.SPANS))
        self._seen: tuple[int, str] | None = None
        self._records: Sequence[QueueRecord] = ()

    def make(self) -> Any:
        import ipywidgets

        self._charts = ipywidgets.HTML()
        self._table = ipywidgets.HTML()
        self._spans = ipywidgets.Dropdown(
            description="Charts of",
            options=list(history.SPANS),
            value=self._span,
            layout={"width": "15rem", "max_width": "calc(100% - 4px)"},
        )
        self._spans.observe(self._choose, names="value")
        context = self.context
        self._controls = QueueControls(context.session, self.act, context.say, context.pulse.wake)
        return ipywidgets.VBox([self._charts, self._spans, self._table, self._controls.widget])

    def refresh(self) -> None:
        pulse = self.context.pulse
        self._controls.refresh(pulse.records)
        seen = (pulse.now, self._span)
        if seen == self._seen and pulse.records is self._records:
            return  # there is nothing else on which it depends
        self._seen, self._records = seen, pulse.records
        set_trait(self._charts, "value", history.charts_html(self._found(), is_still=False))
        set_trait(self._table, "value", queue_table.table_html(*self._rows(), is_still=False))

    def html(self) -> str:
        charts = history.charts_html(self._found(), is_still=True)
        return charts + queue_table.table_html(*self._rows(), is_still=True)

    def text(self) -> str:
        return queue_table.table_text(*self._rows())

    def _choose(self, change: Any) -> None:
        self._span = change["new"]
        self.context.pulse.wake()

    def _found(self) -> list[Chart]:
        seconds = self.context.pulse.seconds(history.SPANS[self._span])
        return history.charts(seconds, self._span)

    def _rows(self) -> tuple[list[queue_table.Row], int]:
        records = self.context.pulse.records
        found = queue_table.rows(records, self.context.pulse.seconds)
        return found, len(records) - len(found)
