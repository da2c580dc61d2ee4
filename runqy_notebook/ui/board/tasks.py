"""The panel of tasks: by state and queue, searched, page by page; looked at, and acted on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from runqy_notebook.broker.records import TaskRecord
from runqy_notebook.errors import RunqyError
from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import Context, OwnChanges, Panel, offer, set_pale, set_trait
from runqy_notebook.ui.board.place import Place
from runqy_notebook.ui.board.rows import MOST, Entry, Rows
from runqy_notebook.ui.board.task_actions import TaskActions
from runqy_notebook.ui.board.task_list import SIZES, TaskList
from runqy_notebook.ui.board.task_text import HEAD, columns, table, task_line
from runqy_notebook.ui.text import cleaned
from runqy_notebook.wire.states import State

ALL_QUEUES: Final = "all queues"
CHANGED: Final = "The list changed while your click was on its way."


class Tasks(Panel):
    """While a task is ticked, or a person says so, the list holds still; and a click goes to the
    task that the person saw there.
    """

    title = "Tasks"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.list = TaskList(context.session)
        self._open = ""  # the id of the task whose card is shown
        self._problem = ""
        self._showing = threading.Lock()
        self._own = OwnChanges()

    # --- widgets --------------------------------------------------------------------------------

    def make(self) -> Any:
        import ipywidgets

        style = {"description_width": "initial"}
        auto = {"width": "auto", "min_width": "0"}
        self._state = ipywidgets.Dropdown(
            options=[(state.value, state) for state in State], description="State", style=style,
            layout={**auto, "flex": "0 1 12em"},
        )  # fmt: skip
        self._queue = ipywidgets.Dropdown(
            options=[(ALL_QUEUES, "")], description="Queue", style=style,
            layout={**auto, "flex": "1 1 13em"},
        )  # fmt: skip
        self._search = ipywidgets.Text(
            description="Search", placeholder="part of an id, a type or a queue", style=style,
            layout={**auto, "flex": "2 1 15em"},
        )  # fmt: skip
        self._size = ipywidgets.Dropdown(
            options=SIZES, description="Rows", style=style, layout={**auto, "flex": "0 0 7em"}
        )
        for control, ask in (
            (self._state, lambda new: self.list.ask(state=new)),
            (self._queue, lambda new: self.list.ask(names=(new,) if new else None)),
            (self._search, lambda new: self.list.ask(text=new)),
            (self._size, lambda new: self.list.ask(size=new)),
        ):
            control.observe(partial(self._asked, ask), names="value")
        self._actions = TaskActions(
            self.context, self.act, lambda: self.list.tasks, self._tick_all, self._acted
        )
        self._rows = Rows(
            "Tasks on this page", self._clicked, self._ticked, late=self.context.publisher.late
        )
        self._caption = ipywidgets.HTML()
        self._still = ipywidgets.ToggleButton(
            description="Hold still", tooltip="The list stays as it is", layout={"width": "auto"}
        )
        self._still.observe(lambda change: self._hold(), names="value")
        self._place = Place(self.context.pulse.nudge)
        wrap = {"flex_flow": "row wrap", "grid_gap": "0 4px", "align_items": "center"}
        asked = ipywidgets.HBox([self._state, self._queue, self._search, self._size], layout=wrap)
        pager = ipywidgets.HBox([*self._pager(), self._still, self._caption], layout=wrap)
        sheet = ipywidgets.HTML(html.rendered("board/rows_style.html", most=MOST))
        return ipywidgets.VBox(
            [sheet, asked, pager, self._actions.widget, self._rows.widget, self._place.widget]
        )

    def _pager(self) -> list[Any]:
        import ipywidgets

        def button(label: str, tooltip: str, turn: Callable[[], None]) -> Any:
            made = ipywidgets.Button(description=label, tooltip=tooltip, layout={"width": "auto"})
            made.on_click(lambda button: self._turned(turn))
            return made

        listed = self.list
        self._first = button("First", "The first page", lambda: listed.ask())
        self._previous = button("Previous", "The page before", lambda: listed.turn(-1))
        self._next = button("Next", "The page after", lambda: listed.turn(1))
        self._page = ipywidgets.BoundedIntText(
            1, min=1, max=1, description="Page", style={"description_width": "initial"},
            layout={"width": "8em"},
        )  # fmt: skip
        self._page.observe(self._page_typed, names="value")
        return [self._first, self._previous, self._page, self._next]

    # --- refreshing -----------------------------------------------------------------------------

    def look(self) -> None:
        try:
            self.list.look(self.context.pulse.version)
            self._problem = ""
        except RunqyError as error:
            self._problem = cleaned(str(error), 400)

    def refresh(self) -> None:
        self._offer_queues()
        answer = self.list.answer
        self._rows.show([self._entry(task) for task in self.list.tasks], answer)
        n_ticked = len(self._actions.ticked)
        held = "; held still" if self.list.is_held else ""
        ticked = f", {n_ticked} ticked" if n_ticked else ""
        told = self._problem or f"{self.list.caption}{held}{ticked}"
        self._show_pager()  # before the caption: who has read that may type a page
        set_trait(self._caption, "value", html.rendered("board/caption.html", words=told))
        self._actions.refresh()
        self._place.paint()
        if self.list.is_seeking and not self._problem:
            self.context.pulse.nudge()

    def _entry(self, task: TaskRecord) -> Entry:
        line = task_line(task)
        key = task.id
        return Entry(key, line.id, line.html(), key == self._open, key in self._actions.ticked)

    def _offer_queues(self) -> None:
        names = [record.queue for record in self.context.pulse.records]
        chosen = self._queue.value
        if chosen and chosen not in names:  # gone, or not seen this time
            names.append(chosen)
        offer(self._queue, [(ALL_QUEUES, ""), *((name, name) for name in names)])

    def _show_pager(self) -> None:
        listed = self.list
        set_pale(self._first, is_pale=not listed.has_previous)
        set_pale(self._previous, is_pale=not listed.has_previous)
        set_pale(self._next, is_pale=not listed.has_next)
        if listed.is_known:
            set_trait(self._page, "disabled", bool(listed.text))
            with self._own:
                set_trait(self._page, "max", max(listed.pages, listed.page))
                set_trait(self._page, "value", listed.page)

    # --- what is clicked ------------------------------------------------------------------------

    def _asked(self, ask: Callable[[Any], None], change: Any) -> None:
        self._turned(lambda: ask(change["new"]))

    def _turned(self, turn: Callable[[], None]) -> None:
        self._actions.clear()
        turn()
        self._hold()

    def _ticked(self, task_id: str | None, is_ticked: bool) -> None:
        if not is_ticked:
            self._actions.untick(task_id)
            self._hold()
        elif task_id is not None and self.list.hold([task_id]):
            self._actions.tick(task_id)
        else:
            self.context.say(f"{CHANGED} Nothing was ticked: tick again.")

    def _tick_all(self, is_ticked: bool) -> None:
        seen = self._rows.seen()
        if not is_ticked:
            self._actions.clear()
            self._hold()
        elif seen is not None and self.list.hold(seen):
            self._actions.tick(*seen)
        else:
            self.context.say(f"{CHANGED} Nothing was ticked: tick again.")

    def _hold(self) -> None:
        """Has the list hold still, or go on."""
        self.list.is_held = self._still.value or bool(self._actions.ticked)
        self.context.pulse.wake()

    def _acted(self) -> None:
        self.list.ask_again()
        self._hold()

    def _page_typed(self, change: Any) -> None:
        if not self._own.are_made:
            self._turned(lambda: self.list.turn_to(change["new"]))

    def _clicked(self, task_id: str | None) -> None:
        if task_id is None:
            self.context.say(f"{CHANGED} Click again.")
            return
        self._open = task_id

        def show() -> None:
            with self._showing:
                if self._open == task_id:  # else somebody clicked another one meanwhile
                    self.context.show_card(self.context.session.attach(task_id), self._place)

        self.act(show)

    # --- stills ---------------------------------------------------------------------------------

    def html(self) -> str:
        return table(self.list.tasks, self.list.caption)

    def text(self) -> str:
        rows = [task_line(task).cells() for task in self.list.tasks]
        return "\n".join([self.list.caption, *([columns(HEAD, rows)] if rows else [])])

    def close(self) -> None:
        if self._widget is not None:
            self._place.clear()
        super().close()
