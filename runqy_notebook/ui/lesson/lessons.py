"""The lessons that one shell shows, and how moves look there."""

from __future__ import annotations

from typing import Any

from runqy_notebook.lesson.lesson import Lesson
from runqy_notebook.lesson.moves import Move
from runqy_notebook.session import Session
from runqy_notebook.ui.clicking import has_widgets
from runqy_notebook.ui.lesson.move_text import move_html, move_text
from runqy_notebook.ui.lesson.shown import ShownLesson
from runqy_notebook.ui.lesson.view import lesson_html, lesson_plain
from runqy_notebook.ui.publish import Bundle, Publisher


class Lessons:
    """Shows lessons, and knows those that are shown; a cell run again has one."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._shown: list[ShownLesson] = []

    @property
    def has_widgets(self) -> bool:
        """Whether a lesson can be clicked here."""
        return has_widgets(self._publisher)

    def show(self, session: Session, lesson: Lesson) -> None:
        """Shows it in the running cell."""
        cell = self._publisher.cell_id
        for before in [each for each in self._shown if each.cell == cell or each.is_over]:
            before.end()
            self._shown.remove(before)
        shown = ShownLesson(session, lesson, self._publisher)
        self._shown.append(shown)
        shown.show()

    def end_all(self) -> None:
        """Leaves stills; the lessons themselves are the sessions' to end."""
        while self._shown:
            self._shown.pop().end()


def move_bundle(move: Move, include: Any = None, exclude: Any = None) -> Bundle:
    """A move as a cell's value."""
    return {"text/html": move_html(move), "text/plain": move_text(move).plain()}


def lesson_bundle(lesson: Lesson, include: Any = None, exclude: Any = None) -> Bundle:
    """A lesson as a cell's value, where nobody can click."""
    lesson.look()
    return {"text/html": lesson_html(lesson), "text/plain": lesson_plain(lesson)}
