"""The lesson as widgets: Next, the faults, the picture, and what the last move was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

from markupsafe import Markup

from runqy_notebook.errors import RunqyError
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.lesson.moves import Kind
from runqy_notebook.lesson.scene import Scene
from runqy_notebook.ui import html
from runqy_notebook.ui.board.panel import close_widgets, set_trait
from runqy_notebook.ui.lesson.move_text import move_html, move_text
from runqy_notebook.ui.lesson.picture import in_words, live_picture, still_picture
from runqy_notebook.ui.text import cleaned

_FAULTS: Final = {
    Kind.KILL: ("Kill worker", "Kills the worker's process, in the middle of a task if it has one"),
    Kind.KILL_BOTH: ("Kill worker and guardian", "Then only the end of the lease tells of it"),
    Kind.LOSE: ("Drop acknowledgement", "Redis takes the outcome, and its reply is lost"),
    Kind.FREEZE: (
        "Freeze server",
        "Stops your embedded server for longer than a lease, for all your notebooks",
    ),
    Kind.ORPHAN: ("Push orphan id", "Puts an id without a task hash into the queue"),
}

FIRST: Final = "Each Next is one move of a worker. Begin with Next, and break something in between."


class LessonView:
    """Shows one lesson; several may show the same. Any thread may call `refresh`.

    A click is taken while nothing goes on, else it is passed over; nothing is switched off
    meanwhile, so that the keyboard stays where it is. Only a kill may come while a handler runs.
    """

    def __init__(self, lesson: Lesson, on_end: Callable[[], object]) -> None:
        import ipywidgets

        self.lesson = lesson
        self._on_end = on_end
        self._shown: Scene | None = None
        self._moves_shown = -1
        self._lock = threading.Lock()
        self._is_closed = False
        row = {"flex_flow": "row wrap", "margin": "0 0 4px 0"}
        self._next = _button(ipywidgets, "Next", "Makes the worker's next move", "primary")
        self._next.on_click(lambda button: self._click(Kind.CLAIM))
        self._faults = {
            kind: _button(ipywidgets, label, tooltip, "")
            for kind, (label, tooltip) in _FAULTS.items()
        }
        for kind, button in self._faults.items():
            button.on_click(lambda button, kind=kind: self._click(kind))
        self._end = _button(ipywidgets, "End lesson", "What the worker holds goes back", "")
        self._end.on_click(lambda button: self._on_end())
        self._status, self._picture, self._move = (ipywidgets.HTML() for _ in range(3))
        style = ipywidgets.HTML(html.rendered("lesson/style.html"), layout={"display": "none"})
        self.widget = ipywidgets.VBox(
            [
                style,
                ipywidgets.HBox([self._next, *self._faults.values(), self._end], layout=row),
                self._status,
                self._picture,
                self._move,
            ]
        )
        self.widget.add_class("runqy-lesson")
        lesson.watch(self.refresh)

    def refresh(self) -> None:
        """Writes what is different now."""
        with self._lock:
            if self._is_closed:
                return
            lesson = self.lesson
            for kind, button in self._faults.items():
                reason = lesson.why_not(kind)
                set_trait(button, "disabled", bool(reason))
                told = f"Not here: {reason}" if reason else _FAULTS[kind][1]
                set_trait(button, "tooltip", told)
            set_trait(self._status, "value", self._said())
            latest = lesson.latest
            number = latest.number if latest else 0
            scene = lesson.scene
            if scene != self._shown or number != self._moves_shown:
                before = self._shown if number else None
                set_trait(self._picture, "value", live_picture(before, scene))
                self._shown = scene
            if latest and number != self._moves_shown:
                set_trait(self._move, "value", move_text(latest).html())
            self._moves_shown = number

    def html(self) -> str:
        """A still of it."""
        return lesson_html(self.lesson)

    def close(self) -> None:
        """Takes the widgets back; the lesson goes on."""
        self.lesson.unwatch(self.refresh)
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
        close_widgets(self.widget)

    # --- inside ---------------------------------------------------------------------------------

    def _click(self, kind: Kind) -> None:
        is_kill = kind in (Kind.KILL, Kind.KILL_BOTH)
        if self.lesson.is_busy and not is_kill:
            return
        try:
            self.lesson.begin(kind)
        except RunqyError as error:
            set_trait(self._status, "value", _status(str(error), "bad"))

    def _said(self) -> str:
        lesson = self.lesson
        if lesson.is_over:
            return _status("The lesson is over.", "muted")
        if lesson.trouble:
            return _status(lesson.trouble, "bad")
        if lesson.doing:
            return _status(f"Going on: {lesson.doing} …", "busy")
        reasons = {kind: lesson.why_not(kind) for kind in _FAULTS}
        told = [f"{_FAULTS[kind][0]}: not here, {why}." for kind, why in reasons.items() if why]
        return _status(" ".join([*([] if lesson.latest else [FIRST]), *told]), "muted")


def lesson_html(lesson: Lesson) -> str:
    """A lesson as it stands, to be kept."""
    latest = lesson.latest
    if latest is not None:
        return move_html(latest)
    parts = [still_picture(None, lesson.scene)]
    return html.rendered("lesson/kept.html", parts=[Markup(part) for part in parts])  # noqa: S704


def lesson_plain(lesson: Lesson) -> str:
    """The same as text."""
    latest = lesson.latest
    return move_text(latest).plain() if latest else in_words(lesson.scene)


def _status(words: str, tone: str) -> str:
    return html.rendered("lesson/status.html", words=cleaned(words), tone=tone)


def _button(ipywidgets: Any, label: str, tooltip: str, style: str) -> Any:
    layout = ipywidgets.Layout(width="auto", margin="2px 6px 2px 0")
    return ipywidgets.Button(description=label, tooltip=tooltip, button_style=style, layout=layout)
