"""The board: panels in tabs, kept up to date by one thread from its first showing to its close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, Final

from markupsafe import Markup

from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.session import Session
from runqy_notebook.ui import html
from runqy_notebook.ui.board.answering import Answering
from runqy_notebook.ui.board.panel import Context, Panel, close_widgets, set_trait
from runqy_notebook.ui.board.place import Place
from runqy_notebook.ui.board.pulse import Pulse
from runqy_notebook.ui.publish import Bundle, Output, Publisher
from runqy_notebook.ui.text import cleaned, clock

INTERVAL: Final = 0.25  # seconds between two refreshes
PROMPT: Final = 0.1  # and where a person did something
PATIENCE: Final = 1.0  # seconds after which one comes although nothing changed
STILL_EVERY: Final = 10.0  # seconds between two stills: each is as large as the board
STILL_ALONE_EVERY: Final = 2.0  # and where the still is all there is to see


class Board:
    """One session's board. Any thread may call any method; closing twice does nothing.

    Nothing runs before it is shown. It has two outputs. The first holds the widgets and, once it is
    closed, the still; the second holds a still all along: widgets resume when a page is loaded
    again, but a file that is opened later knows nothing of them. Where nobody is to click
    (nbclient), there is a still alone; where nothing is kept (Voila), there is no still until the
    end.
    """

    def __init__(
        self,
        session: Session,
        shell: Any,
        publisher: Publisher,
        kinds: Sequence[Callable[[Context], Panel]],
        show_card: Callable[[TaskHandle | TaskGroup, Place], None],
        *,
        has_widgets: bool,
        is_kept: bool,
        on_open: Callable[[Board], None],
        on_close: Callable[[Board], None],
    ) -> None:
        self.session = session
        self.pulse = Pulse(session)
        context = Context(session, shell, publisher, self.pulse, show_card, self.say)
        self.panels = [kind(context) for kind in kinds]
        self.cells: set[object] = set()  # where it was shown
        self.is_closed = False
        self._has_widgets = has_widgets
        self._has_second = has_widgets and is_kept
        self._on_open = on_open
        self._on_close = on_close
        self._ending = ""
        self._last: Bundle = {}
        self._said = ""
        self._widget: Any = None
        self._tab: Any = None
        self._status: Any = None
        self._still_of = -1  # the pulse's version that the still shows
        self._still_at = 0.0
        self._thread: threading.Thread | None = None
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._publisher = publisher
        self._answering = Answering(publisher)
        self._first = Output(publisher, self._first_bundle)
        self._second = Output(publisher, self._second_bundle)

    def __repr__(self) -> str:
        self._look()
        return self.text()

    def _ipython_display_(self) -> None:
        if not self._publisher.is_live:
            print(repr(self))
            return
        self.cells.add(self._publisher.cell_id)
        self._open()
        self._look()
        self.refresh()
        self._still_at, self._still_of = time.monotonic(), self.pulse.version
        self._first.show()
        if self._has_second:
            self._second.show()

    def say(self, text: str) -> None:
        """Tells the person something, until the next time."""
        self._said = cleaned(text)
        self.pulse.wake()

    def close(self, why: str = "closed") -> None:
        """Stops its updates; what was seen last stays, as a still."""
        with self._lock:
            if self.is_closed:
                return
            self._ending = why
            self._last = self._last_bundle()
            self.is_closed = True
        self._stopping.set()
        with ExitStack() as ending:  # last thing first, and to the end even if one step fails
            ending.callback(self._on_close, self)
            if self._widget is not None:
                ending.callback(close_widgets, self._widget)
            for panel in self.panels:
                ending.callback(panel.close)
            ending.callback(self._publisher.flush)  # before the widgets go that they showed
            for output in (self._first, self._second):
                ending.callback(output.changed)
            ending.callback(self._join)
            ending.callback(self.pulse.close)

    def html(self) -> str:
        """A still of all panels that have something to keep."""
        parts = [(panel.title, Markup(panel.html())) for panel in self.panels]  # noqa: S704 - ours
        facts = [self.session.server.title, clock(time.time()), self._ending]
        told = " · ".join(filter(None, facts))
        shown = [(title, part) for title, part in parts if part]
        return html.rendered("board/still.html", facts=told, parts_shown=shown)

    def text(self) -> str:
        """The same as plain text."""
        parts = [f"{panel.title}\n{text}" for panel in self.panels if (text := panel.text())]
        return "\n\n".join([f"board: {self.session.server.title}", *parts])

    def refresh(self) -> None:
        """One round: looks into Redis where it is time to, and has the panel that is looked at
        write what is different.
        """
        self.pulse.look()
        if self._has_widgets:
            self._looked_at().look()
        with self._lock:
            if self.is_closed or not self._has_widgets:
                return
            if self._tab is None:
                self._make()
            set_trait(self._status, "value", html.rendered("board/status.html", words=self._told()))
            self._looked_at().refresh()
            self._answering.see_to(self._widget)

    # --- inside ---------------------------------------------------------------------------------

    def _open(self) -> None:
        """Begins its updates; once is enough."""
        with self._lock:
            if self._thread is not None or self.is_closed:
                return
            self._thread = threading.Thread(target=self._run, name="runqy-board", daemon=True)
        self._on_open(self)
        self.pulse.open()
        self._thread.start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self.pulse.wait(PATIENCE)
            if self._stopping.is_set():
                return
            if self.session.is_closed:
                self.close("disconnected")
                return
            try:
                self.refresh()
            except Exception as error:  # noqa: BLE001 - a thread's edge
                self._said = f"The board could not be brought up to date: {error!r}"
            self._keep_still()
            if not self._stopping.wait(PROMPT):
                self.pulse.rest(INTERVAL - PROMPT)

    def _join(self) -> None:
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    def _keep_still(self) -> None:
        """Has the stills painted again where they are out of date."""
        age = time.monotonic() - self._still_at
        is_time = age > (STILL_EVERY if self._has_widgets else STILL_ALONE_EVERY)
        if is_time and self.pulse.version != self._still_of:
            self._look()
            self._still_at, self._still_of = time.monotonic(), self.pulse.version
            for output in (self._first, self._second):
                output.changed()

    def _look(self) -> None:
        if not self.is_closed:
            self.pulse.look()
            for panel in self.panels:
                panel.look()

    def _looked_at(self) -> Panel:
        """The panel whose tab is chosen."""
        return self.panels[(self._tab.selected_index or 0) if self._tab else 0]

    def _make(self) -> None:
        import ipywidgets

        self._tab = ipywidgets.Tab(
            children=[panel.widget for panel in self.panels],
            titles=[panel.title for panel in self.panels],
            selected_index=0,
        )
        self._tab.observe(lambda change: self.pulse.wake(), names="selected_index")
        self._status = ipywidgets.HTML()
        style = ipywidgets.HTML(html.rendered("board/style.html"), layout={"display": "none"})
        self._widget = ipywidgets.VBox([style, self._tab, self._status])
        self._widget.add_class("runqy-board")

    def _told(self) -> str:
        return self._said or self.pulse.problem

    def _bundle(self) -> Bundle:
        return {"text/html": self.html(), "text/plain": self.text()}

    def _last_bundle(self) -> Bundle:
        try:
            return self._bundle()
        except Exception as error:  # noqa: BLE001 - a fault of a panel keeps no board open
            return {"text/plain": f"(This board cannot be shown: {type(error).__name__})"}

    def _first_bundle(self) -> Bundle:
        if self.is_closed:
            return self._last
        if not self._has_widgets:
            return self._bundle()
        made = self._widget._repr_mimebundle_()
        bundle: Bundle = made[0] if isinstance(made, tuple) else made
        return {**bundle, "text/plain": ""}

    def _second_bundle(self) -> Bundle:
        if self.is_closed:
            return {}
        still = html.rendered(
            "board/last_seen.html",
            at=clock(time.time()),
            still=Markup(self.html()),  # noqa: S704 - ours
        )
        return {"text/html": still, "text/plain": self.text()}
