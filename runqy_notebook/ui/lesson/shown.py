"""A lesson in a cell: live where somebody can click, else as it stands."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Final

from markupsafe import Markup

from runqy_notebook.errors import RunqyError
from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.session import Session
from runqy_notebook.ui import html
from runqy_notebook.ui.lesson.view import LessonView, lesson_html, lesson_plain
from runqy_notebook.ui.publish import Bundle, Output, Publisher
from runqy_notebook.wire.events import Event

_INTERVAL: Final = 0.25  # seconds between two looks at what others did to the queue
_PATIENCE: Final = 2.0  # seconds after which there is one although nobody told of anything


class ShownLesson:
    """Two outputs, as a board has: the widgets, with a still in their place once the lesson is
    over; and a still all along, for whoever opens the file later.
    """

    def __init__(self, session: Session, lesson: Lesson, publisher: Publisher) -> None:
        self.lesson = lesson
        self.cell = publisher.cell_id
        self._session = session
        self._publisher = publisher
        self._view: LessonView | None = None
        self._is_over = False
        self._news = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="runqy-lesson-view", daemon=True)
        self._first = Output(publisher, self._first_bundle)
        self._second = Output(publisher, self._second_bundle)

    def show(self) -> None:
        """Shows it in the running cell, and follows it until it is over."""
        self.lesson.look()
        self._view = LessonView(self.lesson, self._ask_to_end)
        self._view.refresh()
        self.lesson.watch(self._wake)
        self._subscription = self._session.listen(self._heard, names=[self.lesson.queue])
        self._first.show()
        self._second.show()
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return self._is_over

    def end(self) -> None:
        """Leaves a still where the widgets were."""
        self._is_over = True
        self._news.set()
        if self._thread is not threading.current_thread():
            self._thread.join(2.0)

    # --- inside ---------------------------------------------------------------------------------

    def _heard(self, event: Event) -> None:
        self._news.set()

    def _wake(self) -> None:
        self._news.set()

    def _ask_to_end(self) -> None:
        threading.Thread(target=self.lesson.stop, name="runqy-lesson-end", daemon=True).start()

    def _follow(self) -> None:
        number = -1
        while not self._is_over and not self.lesson.is_over:
            self._news.wait(_PATIENCE)
            self._news.clear()
            with contextlib.suppress(RunqyError):  # whoever clicks is told
                self.lesson.look()
            if self._view is not None:
                self._view.refresh()
            latest = self.lesson.latest
            if latest and latest.number != number:
                number = latest.number
                self._second.changed()
            time.sleep(_INTERVAL)
        self._freeze()

    def _freeze(self) -> None:
        self._is_over = True
        self._session.unlisten(self._subscription)
        self.lesson.unwatch(self._wake)
        view, self._view = self._view, None
        for output in (self._first, self._second):
            output.changed()
        self._publisher.flush()  # before the widgets go that they show
        if view is not None:
            view.close()

    def _first_bundle(self) -> Bundle:
        view = self._view
        if view is None:
            return _still(self.lesson)
        made = view.widget._repr_mimebundle_()
        bundle: Bundle = made[0] if isinstance(made, tuple) else made
        return {**bundle, "text/plain": ""}

    def _second_bundle(self) -> Bundle:
        if self._view is None:
            return {}
        kept = Markup(lesson_html(self.lesson))  # noqa: S704 - ours
        still = html.rendered("lesson/last_seen.html", still=kept)
        return {"text/html": still, "text/plain": lesson_plain(self.lesson)}


def _still(lesson: Lesson) -> Bundle:
    return {"text/html": lesson_html(lesson), "text/plain": lesson_plain(lesson)}
