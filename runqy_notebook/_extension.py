"""Registering with IPython, and undoing it: after an unload nothing stays behind."""

from __future__ import annotations

import asyncio
import atexit
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from runqy_notebook import adopt, boarding, current
from runqy_notebook.displays import Displays
from runqy_notebook.errors import RunqyError, one_line
from runqy_notebook.handles import TaskGroup, TaskHandle
from runqy_notebook.magics import complete, magics
from runqy_notebook.magics.commands import say_where
from runqy_notebook.magics.config import RunqyConfig
from runqy_notebook.magics.grammar import all_commands
from runqy_notebook.maps import progress
from runqy_notebook.session import Session
from runqy_notebook.ui import accessor
from runqy_notebook.ui.board.boards import Boards
from runqy_notebook.ui.live import Live

GRACE = 1.0
"""Seconds that running tasks get when the kernel shuts down; Jupyter kills it after about 2.5."""


class Extension:
    """What one shell has of us."""

    def __init__(self, ipython: Any) -> None:
        self.ipython = ipython
        self.config = RunqyConfig.of(ipython, self._settings_changed, say=print)
        self.notices: deque[str] = deque(maxlen=20)
        self._undo = ExitStack()
        commands = all_commands()
        self.displays = Displays(ipython)
        self.live = Live(ipython)
        self.boards = Boards(ipython, self.live)
        self.magic = magics.make(ipython, commands, self.live)
        self.matcher = complete.matcher(commands, ipython.user_ns)

    def load(self) -> None:
        """Registers everything and connects; a failure to connect is one line, no error.

        What follows a registration is how `unload` undoes it.
        """
        shell = self.ipython
        with ExitStack() as undo:
            shell.register_magic_function(self.magic, magic_kind="line_cell", magic_name="runqy")
            undo.callback(self._forget_magic)
            shell.configurables.append(self.config)
            undo.callback(shell.configurables.remove, self.config)
            if shell.Completer is not None:
                matchers = shell.Completer.custom_matchers
                matchers.append(self.matcher)
                undo.callback(matchers.remove, self.matcher)
            shell.events.register("post_run_cell", self.tell_notices)
            undo.callback(shell.events.unregister, "post_run_cell", self.tell_notices)
            self.displays.start()
            undo.callback(self.displays.stop)
            adopt.take_over(current.run)
            undo.callback(adopt.give_back)
            current.open_with(self.session_options)
            undo.callback(current.open_with, dict)
            undo.callback(current.disconnect)
            atexit.register(self.shut_down)
            undo.callback(atexit.unregister, self.shut_down)
            self.live.open()
            undo.callback(self.live.close, "the extension was unloaded")
            boarding.shown_by(self.boards)
            undo.callback(boarding.shown_by, None)
            undo.callback(self.boards.close_all, "the extension was unloaded")
            undo.enter_context(self._forms_of_lessons())
            if self.live.is_on:
                undo.enter_context(self._cards_for_handles())
                progress.show_with(self.live.map_bar)
                undo.callback(progress.show_with, None)
            accessor.offer()
            undo.callback(accessor.withdraw)
            self._connect()
            self._undo = undo.pop_all()  # an interrupt until here undoes it all at once

    def unload(self) -> None:
        """Undoes `load`, last thing first, to the end even if one step fails."""
        self._undo.close()

    def session_options(self) -> dict[str, Any]:
        """How sessions of this shell are opened."""
        return {"config": self.config.chosen(), "on_notice": self.notices.append}

    def tell_notices(self, result: object = None) -> None:
        """Prints, at the end of a cell, what the worker had to say meanwhile: printed from its
        own thread it would land in some random cell.
        """
        while self.notices:
            print(f"runqy: {self.notices.popleft()}")
        if current.has_session():
            self._tell_what_goes_on(current.session(), getattr(result, "error_in_exec", None))

    def _tell_what_goes_on(self, session: Session, error: BaseException | None) -> None:
        """Says that an interrupt ended the wait and not the task."""
        left, session.source.given_up = session.source.given_up, []
        if left and isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
            which = (
                f"Task {one_line(left[0].id, 80)} goes"
                if len(left) == 1
                else (f"{len(left)} tasks go")
            )
            print(
                f"runqy: The wait was interrupted. {which} on: wait again, or end "
                f"{'it' if len(left) == 1 else 'them'} with %runqy cancel."
            )

    def shut_down(self) -> None:
        """The kernel ends: running tasks get a moment, then go back to their queue, and cards
        freeze.
        """
        if current.has_session():
            current.session().stop_worker(GRACE)
            current.session().stop_lesson()
        self.boards.close_all("the kernel ended")
        self.live.close("the kernel ended")

    @contextmanager
    def _cards_for_handles(self) -> Iterator[None]:
        """A handle at the end of a cell shows its card."""
        formatter = self.ipython.display_formatter.ipython_display_formatter
        for kind in (TaskHandle, TaskGroup):
            formatter.for_type(kind, self._show)
        try:
            yield
        finally:
            for kind in (TaskHandle, TaskGroup):
                formatter.pop(kind, None)

    @contextmanager
    def _forms_of_lessons(self) -> Iterator[None]:
        """A move, or a lesson, at the end of a cell shows itself; by name, as few import them."""
        formatters = self.ipython.display_formatter
        moves, lessons = "runqy_notebook.lesson.moves", "runqy_notebook.lesson.lesson"
        formatters.mimebundle_formatter.for_type_by_name(moves, "Move", self._move_bundle)
        formatters.mimebundle_formatter.for_type_by_name(lessons, "Lesson", self._lesson_bundle)
        formatters.ipython_display_formatter.for_type_by_name(lessons, "Lesson", self._show_lesson)
        try:
            yield
        finally:
            formatters.mimebundle_formatter.pop(f"{moves}.Move", None)
            formatters.mimebundle_formatter.pop(f"{lessons}.Lesson", None)
            formatters.ipython_display_formatter.pop(f"{lessons}.Lesson", None)

    def _move_bundle(self, move: Any, include: Any = None, exclude: Any = None) -> Any:
        from runqy_notebook.ui.lesson.lessons import move_bundle

        return move_bundle(move)

    def _lesson_bundle(self, lesson: Any, include: Any = None, exclude: Any = None) -> Any:
        from runqy_notebook.ui.lesson.lessons import lesson_bundle

        return lesson_bundle(lesson)

    def _show_lesson(self, lesson: Any) -> None:
        lessons = self.live.lessons
        is_current = current.has_session() and current.session().lesson is lesson
        if not is_current or not lessons.has_widgets:
            raise NotImplementedError  # IPython shows it as it stands then
        lessons.show(current.session(), lesson)

    def _show(self, made: TaskHandle | TaskGroup) -> None:
        if not current.has_session() or not made.is_of(current.session().source):
            raise NotImplementedError  # IPython shows its repr then
        self.live.cards.show(current.session(), made)

    def _connect(self) -> None:
        try:
            if not current.has_session():
                current.connect()
            say_where()
        except RunqyError as error:
            print(error if current.has_session() else f"Not connected. {error}")

    def _forget_magic(self) -> None:
        for kind in ("line", "cell"):  # IPython has no public way to take a magic back
            self.ipython.magics_manager.magics[kind].pop("runqy", None)

    def _settings_changed(self) -> None:
        if current.has_session():
            current.session().configure(self.config.chosen())


_extension: Extension | None = None


def load(ipython: Any) -> None:
    """Loads the extension into this shell; once is enough."""
    global _extension
    if _extension is not None:
        unload(ipython)
    _extension = Extension(ipython)
    _extension.load()


def unload(ipython: Any) -> None:
    """Unloads the extension; does nothing where it is not loaded."""
    global _extension
    if _extension is not None:
        extension, _extension = _extension, None
        extension.unload()
