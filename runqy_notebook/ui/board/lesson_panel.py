"""The board's lesson: a queue to choose, a switch, and the lesson itself."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from runqy_notebook.errors import RunqyError
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import Context, Panel, offer, set_trait
from runqy_notebook.ui.lesson.view import LessonView, lesson_html, lesson_plain

_LOOK_EVERY: Final = 0.5  # seconds between two looks at what others did to the queue


class LessonPanel(Panel):
    """Shows the session's lesson, whoever began it; the switch begins and ends it."""

    title = "Lesson"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._view: LessonView | None = None
        self._has_begun = False  # here, so that it ends with the board
        self._looked_at = 0.0
        self._lock = threading.RLock()

    def make(self) -> Any:
        import ipywidgets

        wide = {"description_width": "initial"}
        self._queue = ipywidgets.Dropdown(
            description="Queue",
            options=self._names(),
            style=wide,
            layout={"width": "auto", "min_width": "12rem", "max_width": "100%"},
        )
        self._switch = ipywidgets.ToggleButton(
            description="Lesson mode",
            tooltip="A worker that makes one move at a time, with faults to try it with",
            icon="",
            layout={"width": "auto"},
        )
        self._switch.observe(self._switched, names="value")
        self._about = ipywidgets.HTML(html.rendered("lesson/about.html"))
        self._place = ipywidgets.VBox([])
        row = ipywidgets.HBox([self._queue, self._switch], layout={"flex_flow": "row wrap"})
        return ipywidgets.VBox([row, self._about, self._place])

    def look(self) -> None:
        lesson = self._lesson
        if lesson is None or time.monotonic() - self._looked_at < _LOOK_EVERY:
            return
        self._looked_at = time.monotonic()
        try:
            lesson.look()
        except RunqyError as error:
            self.context.say(str(error))

    def refresh(self) -> None:
        lesson = self._lesson
        offer(self._queue, self._names())
        with self._lock:
            if lesson is not None and (self._view is None or self._view.lesson is not lesson):
                self._drop_view()
                self._view = LessonView(lesson, lambda: self.act(self._end))
                self._place.children = (self._view.widget,)
            elif lesson is None and self._view is not None:
                self._drop_view()
            if self._view is not None:
                self._view.refresh()
        is_on = lesson is not None
        if lesson is not None and lesson.queue in dict(self._queue.options):
            set_trait(self._queue, "value", lesson.queue)
        if not self.is_busy(self._switch):
            set_trait(self._switch, "value", is_on)
        set_trait(self._queue, "disabled", is_on)
        set_trait(self._switch, "description", "End lesson mode" if is_on else "Lesson mode")
        set_trait(self._about.layout, "display", "none" if is_on else "")

    def html(self) -> str:
        lesson = self._lesson
        return lesson_html(lesson) if lesson is not None else ""

    def text(self) -> str:
        lesson = self._lesson
        return lesson_plain(lesson) if lesson is not None else ""

    def close(self) -> None:
        if self._has_begun:
            self.context.session.stop_lesson()
        with self._lock:
            self._drop_view()
        super().close()

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _lesson(self) -> Lesson | None:
        lesson = self.context.session.lesson
        return None if lesson is None or lesson.is_over else lesson

    def _names(self) -> tuple[tuple[str, str], ...]:
        names = [record.queue for record in self.context.pulse.records]
        lesson = self._lesson
        if lesson is not None and lesson.queue not in names:
            names.append(lesson.queue)
        return tuple((name, name) for name in names)

    def _switched(self, change: Any) -> None:
        is_on = self._lesson is not None
        if change["new"] and not is_on:
            self.act(self._begin, self._switch)
        elif not change["new"] and is_on:
            self.act(self._end, self._switch)

    def _begin(self) -> str:
        queue = self._queue.value
        if not queue:
            self._switch.value = False
            return "There is no queue yet: enqueue a task first."
        try:
            self.context.session.step(queue)
        except RunqyError:
            self._switch.value = False
            raise
        self._has_begun = True
        return f"A lesson on {queue}: Next makes the first move."

    def _end(self) -> str:
        return self.context.session.stop_lesson()

    def _drop_view(self) -> None:
        view, self._view = self._view, None
        if view is not None:
            self._place.children = ()
            view.close()
