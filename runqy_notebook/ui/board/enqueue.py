"""The panel that enqueues: queue, payload or DataFrame, options, and the card of what came."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

from runqy_notebook.errors import PayloadError, RunqyError, UsageError, one_line
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.hints.handler import Hints, hints_of
from runqy_notebook.registry import REGISTRY
from runqy_notebook.ui import html
from runqy_notebook.ui.board.editor import Editor
from runqy_notebook.ui.board.panel import Context, Panel, offer, set_pale, set_trait
from runqy_notebook.ui.board.place import Place
from runqy_notebook.ui.board.tables import rows_of, size_of, tables_in
from runqy_notebook.ui.board.task_options import OptionInputs
from runqy_notebook.ui.text import cleaned, counted
from runqy_notebook.wire import queues
from runqy_notebook.wire.payload import encode_payload

MOST_TIMES: Final = 10_000
MOST_TASKS: Final = 100_000
BELOW: Final = "the payload below"


class Enqueue(Panel):
    """What can be said about a task with `%runqy enqueue`, to be clicked and filled in."""

    title = "Enqueue"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._seen: tuple[object, ...] = ()  # what the form was last made for
        self._goes_to = ""
        self._handler_name = ""
        self._hints = Hints()

    def make(self) -> Any:
        import ipywidgets

        label = {"description_width": "4em"}
        half = {"flex": "1 1 15em", "width": "auto", "min_width": "0", "max_width": "30em"}
        self._queue = ipywidgets.Combobox(
            description="Queue", placeholder="such as inference", style=label, layout=half
        )
        self._source = ipywidgets.Dropdown(
            description="Send", options=[(BELOW, "")], style=label, layout=half
        )
        self._count = ipywidgets.BoundedIntText(
            1, min=1, max=MOST_TIMES, description="Count", style=label,
            layout={"width": "10em", "flex": "0 0 auto"},
        )  # fmt: skip
        self._where = ipywidgets.HTML()
        self._editor = Editor(self._changed)
        self._preview = ipywidgets.HTML(layout={"display": "none"})
        self._options = OptionInputs(self._changed)
        self._trouble = ipywidgets.HTML()
        self._send = ipywidgets.Button(
            description="Enqueue", button_style="primary", tooltip="Puts it into the queue"
        )
        self._send.on_click(lambda button: self._clicked())
        self._place = Place(self.context.pulse.nudge)
        for control in (self._queue, self._source, self._count):
            control.observe(lambda change: self._changed(), names="value")
        first = ipywidgets.HBox(
            [self._queue, self._source, self._count],
            layout={"flex_flow": "row wrap", "grid_gap": "4px"},
        )
        style = ipywidgets.HTML(html.rendered("board/enqueue_style.html"))
        parts = [
            style, first, self._where, self._editor.widget, self._preview, self._options.widget,
            self._trouble, self._send, self._place.widget,
        ]  # fmt: skip
        return ipywidgets.VBox(parts)

    def look(self) -> None:
        """Finds out which handler the tasks of this queue get."""
        if self._widget is None:
            return
        name = self._queue.value.strip()
        seen = (name, self._options.type_name, REGISTRY.version)
        if seen == self._seen:
            return
        self._goes_to, handler = "", None
        if queues.is_valid(name):
            with suppress(RunqyError):  # told at the click
                self._goes_to = self.context.session.target(name)
            handler = REGISTRY.handler_for(self._goes_to, self._options.type_name)
        self._handler_name = handler.name if handler else ""
        self._hints = hints_of(handler) if handler else Hints()
        self._seen = seen

    def refresh(self) -> None:
        self._offer()
        self._show_handler()
        self._show_table()
        trouble = self._trouble_now()
        set_trait(self._trouble, "value", html.rendered("board/trouble.html", words=trouble))
        set_pale(self._send, is_pale=bool(trouble or self._what_is_missing()))
        self._place.paint()

    def close(self) -> None:
        if self._widget is not None:
            self._place.clear()
        super().close()

    # --- what is offered ------------------------------------------------------------------------

    def _offer(self) -> None:
        """Queues that are known, those of handlers first, and the notebook's DataFrames."""
        known = [record.queue for record in self.context.pulse.records]
        worker = self.context.session.worker
        served = list(worker.serving.names) if worker else []
        offered = tuple(dict.fromkeys([*REGISTRY.queues(), *served, *sorted(known)]))
        set_trait(self._queue, "options", offered[:500])
        tables = tables_in(self.context.shell.user_ns)
        found = [(BELOW, ""), *((f"the rows of {n} ({size_of(t)})", n) for n, t in tables.items())]
        offer(self._source, found)

    def _show_handler(self) -> None:
        """Has the form be that of the handler that this queue's tasks get."""
        self._editor.take(self._hints)
        told = html.rendered(
            "board/where.html",
            queue=self._goes_to if self._goes_to != self._queue.value.strip() else "",
            handler=self._handler_name,
            is_named=bool(self._goes_to),
        )
        set_trait(self._where, "value", told)

    def _show_table(self) -> None:
        table = self._table()
        is_table = table is not None
        set_trait(self._editor.widget.layout, "display", "none" if is_table else None)
        set_trait(self._preview.layout, "display", None if is_table else "none")
        set_trait(self._count, "disabled", is_table)
        if is_table:
            set_trait(self._preview, "value", self._preview_of(table))

    def _preview_of(self, table: Any) -> str:
        problem, first, doubts = "", "", []
        try:
            for row in rows_of(table, 1):
                first = encode_payload(row).decode()
                doubts = self._editor.problems_of(json.loads(first))
        except PayloadError as error:
            problem = str(error)
        except Exception as error:  # noqa: BLE001 - the user's table, changed meanwhile perhaps
            problem = f"the table cannot be read: {one_line(repr(error), 200)}"
        return html.rendered(
            "board/preview.html",
            rows=counted(len(table), "task"),
            first=cleaned(first, 600),
            wrong=[cleaned(problem, 300)] if problem else [],
            doubts=[cleaned(each, 300) for each in doubts[:5]],
        )

    # --- sending --------------------------------------------------------------------------------

    def _changed(self) -> None:
        self.context.pulse.wake()

    def _table(self) -> Any:
        name = self._source.value
        return tables_in(self.context.shell.user_ns).get(name) if name else None

    def _what_is_missing(self) -> str:
        """Why there is nothing to send yet."""
        if not self._queue.value.strip():
            return "Choose a queue first."
        if self._table() is None and not self._editor.is_sendable:
            return "Mend the payload first: what is wrong stands below it."
        return ""

    def _trouble_now(self) -> str:
        """What is wrong with the queue's name or an option; the payload has a place of its own."""
        try:
            if name := self._queue.value.strip():
                queues.checked(name)
            options = self._options.chosen()
        except RunqyError as error:
            return cleaned(str(error), 400)
        is_one = self._table() is None and isinstance(self._editor.payloads, dict)
        if "id" in options and not (is_one and self._count.value == 1):
            return "An id names one task; this makes several."
        return ""

    def _clicked(self) -> None:
        if problem := self._what_is_missing() or self._trouble_now():
            self.context.say(problem)
        else:
            self.act(self._enqueue, self._send)

    def _enqueue(self) -> str:
        made = self._made()
        self.context.show_card(made, self._place)
        if isinstance(made, TaskHandle):
            return f"Enqueued task {one_line(made.id, 80)} in {made.queue}."
        where = f" in {made[0].queue}" if len(made) else ""
        return f"Enqueued {counted(len(made), 'task')}{where}."

    def _made(self) -> TaskHandle | TaskGroup:
        session, queue = self.context.session, self._queue.value.strip()
        options, payloads = self._options.chosen(), self._editor.payloads
        table = self._table()
        if table is not None:
            return session.enqueue_many(queue, rows_of(table), **options)
        n = self._count.value
        if isinstance(payloads, dict) and n == 1:
            return session.enqueue(queue, payloads, **options)
        several = [payloads] if isinstance(payloads, dict) else payloads
        if len(several) * n > MOST_TASKS:
            raise UsageError(
                f"{len(several):,} payloads {n:,} times are more than {MOST_TASKS:,} tasks: send "
                "them in parts."
            )
        return session.enqueue_many(queue, several * n, **options)
