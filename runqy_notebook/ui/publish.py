"""The one place that publishes to the notebook.

A change goes to the output it belongs to, whatever ran since: as `update_display_data` whose parent
is the latest request to execute a cell, sent straight through the kernel's socket. Frontends drop
a message whose parent they do not know, nbclient every one whose parent is not the running cell,
and `print` and `display` of a thread take the parent of whatever came last, a Tab or a click too.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol
from uuid import uuid4

from IPython.core.displaypub import CapturingDisplayPublisher, DisplayPublisher

Bundle = Mapping[str, Any]
"""What is shown, by mime type."""

INTERVAL = 0.1  # seconds between two rounds of the painter
MOST_AT_ONCE = 30
"""Outputs painted in a round: a Jupyter server drops what comes above 1,000 messages a second."""
BYTES_A_SECOND = 400_000  # and above 1 MB a second
_CATCHING_UP = 1.0  # seconds in which messages are taken that waited for a cell's end
_IDLE = 5.0  # seconds until a painter with nothing to do ends


class Surface(Protocol):
    """What outputs are shown on: a shell's cells, or a place inside a widget."""

    @property
    def is_attended(self) -> bool:
        """Whether a person is there, who may click."""

    def show(self, output: Output) -> None: ...
    def changed(self, output: Output) -> None: ...


class Output:
    """A place in a cell's output that can be painted again and again.

    `render` gives what is to be seen there now; it is never called by two threads at a time.
    """

    def __init__(self, surface: Surface, render: Callable[[], Bundle]) -> None:
        self.id = f"runqy-{uuid4().hex}"
        self.render = render
        self.shown: Bundle | None = None  # what the notebook has taken in
        self.is_placed = False
        self._surface = surface

    def show(self) -> None:
        """Puts it into the running cell; shown in several cells, it changes in all of them."""
        self._surface.show(self)

    def changed(self) -> None:
        """Has it painted again, soon."""
        self._surface.changed(self)


class Publisher:
    """Shows outputs and paints them again as they change. One for each shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._pub = shell.display_pub
        self._parent = getattr(self._pub, "parent_header", {})
        self._is_running = True  # a cell is: the one that loads us
        self._began = self._ended = time.monotonic()  # of the latest cells, one after the other
        self._changed: dict[Output, None] = {}  # in the order of their changes
        self._at_risk: set[Output] = set()  # painted while no cell was running
        self._painting = threading.RLock()
        self._wake = threading.Condition()
        self._painter: threading.Thread | None = None
        self._is_closed = False
        self.cell: object = None  # differs from run to run
        self.cell_id: object = None  # the running cell's, where the frontend names it
        self.is_attended = False

    @property
    def is_live(self) -> bool:
        """Whether what was shown can change: not so in a terminal."""
        return type(self._pub) not in (DisplayPublisher, CapturingDisplayPublisher)

    def open(self) -> None:
        """Registers with the shell."""
        self._shell.events.register("pre_run_cell", self._cell_begins)
        self._shell.events.register("post_run_cell", self._cell_ends)

    def close(self) -> None:
        """Paints what is due and takes back what `open` did."""
        self._shell.events.unregister("pre_run_cell", self._cell_begins)
        self._shell.events.unregister("post_run_cell", self._cell_ends)
        self.flush()
        with self._wake:
            self._is_closed = True
            painter = self._painter
            self._wake.notify_all()
        if painter is not None and painter is not threading.current_thread():
            painter.join(1.0)

    def show(self, output: Output) -> None:
        """Shows an output in the running cell."""
        with self._painting:
            output.shown = dict(output.render())
            output.is_placed = True
            told = {"display_id": output.id}
            self._shell.display_pub.publish(data=output.shown, metadata={}, transient=told)

    def changed(self, output: Output) -> None:
        """Sees to it that the output is painted within two intervals."""
        if not self.is_live:
            return
        with self._wake:
            if self._is_closed:
                return
            self._changed.setdefault(output)
            if self._painter is None:
                self._painter = threading.Thread(
                    target=self._paint_on, name="runqy-painter", daemon=True
                )
                self._painter.start()
            self._wake.notify_all()

    def flush(self) -> None:
        """Paints everything that changed, now."""
        self._paint(sys.maxsize)

    def answered(self, message: Mapping[str, Any]) -> None:
        """Tells the page that this message of it was taken, where the kernel does not: on the main
        thread while a cell awaits. The cell is still running after that.
        """
        is_main = threading.current_thread() is threading.main_thread()
        session, socket = self._wire()
        if session is None or not (is_main and self._is_running):
            return
        parent = {"header": message["header"]}
        for state, of in (("idle", parent), ("busy", self._parent)):
            session.send(socket, "status", {"execution_state": state}, parent=of)

    def late(self) -> float:
        """How many seconds ago a message of the page may have been sent that is taken now: those
        for the main thread wait until a cell ends.
        """
        now = time.monotonic()
        is_main = threading.current_thread() is threading.main_thread()
        is_just_free = not self._is_running and now - self._ended < _CATCHING_UP
        return now - self._began if is_main and is_just_free else 0.0

    # --- cells ----------------------------------------------------------------------------------

    def _cell_begins(self, info: Any = None) -> None:
        self._parent = getattr(self._pub, "parent_header", {})
        self._is_running = True
        if time.monotonic() - self._ended > _CATCHING_UP:
            self._began = time.monotonic()
        self.cell = object()
        # People's frontends name the cell in their request, nbclient and papermill do not.
        self.cell_id = getattr(info, "cell_id", None)
        self.is_attended = self.cell_id is not None
        at_risk, self._at_risk = self._at_risk, set()
        for output in at_risk:
            output.shown = None  # nbclient has not taken it in
            self.changed(output)

    def _cell_ends(self, result: object = None) -> None:
        self.flush()
        self._is_running = False
        self._ended = time.monotonic()

    # --- painting -------------------------------------------------------------------------------

    def _paint_on(self) -> None:
        while True:
            with self._wake:
                if not self._changed and not self._is_closed:
                    self._wake.wait(_IDLE)
                if self._is_closed or not self._changed:
                    self._painter = None
                    return
            n_bytes = self._paint(MOST_AT_ONCE)
            with self._wake:
                self._wake.wait_for(
                    lambda: self._is_closed, max(INTERVAL, n_bytes / BYTES_A_SECOND)
                )

    def _paint(self, limit: int) -> int:
        """Paints the outputs that wait longest; the number of characters sent."""
        with self._painting:
            with self._wake:
                some = list(self._changed)[:limit]
                for output in some:
                    del self._changed[output]
            return sum(self._repaint(output) for output in some)

    def _repaint(self, output: Output) -> int:
        if not output.is_placed:
            return 0
        try:
            bundle = dict(output.render())
        except Exception as error:  # noqa: BLE001 - a thread's edge
            bundle = {"text/plain": f"(This cannot be shown: {type(error).__name__})"}
        if bundle == output.shown:
            return 0
        output.shown = bundle
        if not self._is_running:
            self._at_risk.add(output)
        self._send({"data": bundle, "metadata": {}, "transient": {"display_id": output.id}})
        return sum(len(value) if isinstance(value, str) else 500 for value in bundle.values())

    def _send(self, content: dict[str, Any]) -> None:
        session, socket = self._wire()
        if session is None:  # another kernel than ipykernel
            self._pub.publish(**content, update=True)
            return
        session.send(
            socket,
            "update_display_data",
            content,
            parent=self._parent,
            ident=getattr(self._pub, "topic", None),
        )

    def _wire(self) -> tuple[Any, Any]:
        """The kernel's session and public socket; two Nones with another kernel than ipykernel."""
        session = getattr(self._pub, "session", None)
        socket = getattr(self._pub, "pub_socket", None)
        return (None, None) if session is None or socket is None else (session, socket)
