"""The worker of this kernel, who else works here, and on which server."""

from __future__ import annotations

import re
import time
from typing import Any, Final

from runqy_notebook.broker.health import ServerHealth
from runqy_notebook.broker.records import WorkerRecord
from runqy_notebook.errors import RunqyError, one_line
from runqy_notebook.tasks import REGISTRY
from runqy_notebook.ui.board.panel import Context, Panel, set_trait
from runqy_notebook.ui.board.worker_text import WorkerText, worker_text
from runqy_notebook.ui.text import counted

LOOK_EVERY: Final = 5.0  # seconds; workers beat as often
MOST_SLOTS: Final = 256
NO_WORKER: Final = "No worker is running in this kernel."


class WorkerPanel(Panel):
    """Starting and stopping the worker, and what it does."""

    title = "Worker"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._others: list[WorkerRecord] = []
        self._health: ServerHealth | None = None
        self._looked_at = float("-inf")

    def make(self) -> Any:
        import ipywidgets

        wide = {"width": "20rem", "max_width": "calc(100% - 4px)"}
        worker = self.context.session.worker
        names = worker.status.names if worker else REGISTRY.queues()
        self._names = ipywidgets.Text(
            description="Queues",
            value=", ".join(names),
            placeholder="inference, mail",
            tooltip="Queues to serve, each with its sub-queues",
            layout=wide,
        )
        self._slots = ipywidgets.BoundedIntText(
            description="At a time",
            value=self._concurrency(),
            min=1,
            max=MOST_SLOTS,
            tooltip="How many tasks run at a time",
            layout={"width": "10rem"},
        )
        self._start, self._stop, self._pause = (
            ipywidgets.Button(description=word, layout={"width": "auto"})
            for word in ("Start", "Stop", "Pause")
        )
        self._shown_concurrency = self._slots.value
        self._told = ipywidgets.HTML()
        self._start.on_click(lambda _: self.act(self._started, self._start))
        self._stop.on_click(lambda _: self.act(self._stopped, self._stop))
        self._pause.on_click(lambda _: self.act(self._switched, self._pause))
        row = [self._names, self._slots, self._start, self._stop, self._pause]
        controls = ipywidgets.HBox(row, layout={"flex_flow": "row wrap"})
        return ipywidgets.VBox([controls, self._told])

    def look(self) -> None:
        if time.monotonic() - self._looked_at < LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        try:
            self._others = self.context.session.worker_records()
            self._health = self.context.session.server_health()
        except RunqyError:
            self._others, self._health = [], None  # the pulse says why

    def refresh(self) -> None:
        worker = self.context.session.worker
        if self._concurrency() != self._shown_concurrency:  # changed elsewhere
            self._shown_concurrency = self._slots.value = self._concurrency()
        is_paused = worker is not None and worker.is_paused
        set_trait(self._start, "description", "Start" if worker is None else "Apply")
        set_trait(self._pause, "description", "Resume" if is_paused else "Pause")
        set_trait(self._told, "value", self._text().html())

    def html(self) -> str:
        return self._text().html()

    def text(self) -> str:
        return self._text().plain()

    def _text(self) -> WorkerText:
        session = self.context.session
        return worker_text(session.worker, self._others, self._health, session.server.title)

    def _concurrency(self) -> int:
        worker = self.context.session.worker
        if worker is not None:
            return worker.status.concurrency
        return self.context.session.settings.concurrency

    # --- what the buttons do --------------------------------------------------------------------

    def _started(self) -> str:
        session, names = self.context.session, re.split(r"[\s,]+", self._names.value.strip())
        before = session.worker
        worker = session.start_worker(*filter(None, names), concurrency=self._slots.value)
        self._looked_at = float("-inf")
        found = worker.status
        word = "runs on" if worker is before else "started"
        missing = ", ".join(one_line(name, 40) for name in found.without_handler[:5])
        told = f" No handler yet for {missing}." if missing else ""
        return (
            f"Worker {word}: serves {', '.join(found.names)}, "
            f"{counted(found.concurrency, 'task')} at a time.{told}"
        )

    def _stopped(self) -> str:
        stopped = self.context.session.stop_worker()
        return str(stopped) if stopped else NO_WORKER

    def _switched(self) -> str:
        """Does what the button says."""
        worker = self.context.session.worker
        if worker is None:
            return NO_WORKER
        if self._pause.description == "Resume":
            worker.resume()
            return "Worker resumed."
        worker.pause()
        return "Worker paused: it claims nothing more; running tasks go on."
