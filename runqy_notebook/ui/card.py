"""A task's card: live while there is something to come, plain HTML once it is done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from runqy_notebook.broker.records import Standing
from runqy_notebook.errors import RunqyError, TaskFailedError, UnknownTaskError
from runqy_notebook.handles import TaskHandle
from runqy_notebook.ui.buttons import OF_TASK, Buttons
from runqy_notebook.ui.card_text import CardText, card_text
from runqy_notebook.ui.publish import Bundle, Output, Surface
from runqy_notebook.ui.text import cleaned
from runqy_notebook.ui.tracebacks import readable
from runqy_notebook.ui.values import Shown, of_json, of_value
from runqy_notebook.ui.view import TaskView, Value, after
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import CANCELLED
from runqy_notebook.wire.states import State

SILENT_AFTER: Final = 1.5  # seconds without an event after which Redis is looked into
LINGER: Final = 1.0  # seconds for which a task that is done is still listened to: last lines
BUTTONS_AFTER: Final = 0.7  # seconds: a task that is done sooner needs none
RETRY_FOR: Final = 300.0
"""Seconds for which a failed task's card has buttons after it failed or was shown: longer, and they
would be what the saved file holds, where they are dead."""


class TaskCard:
    """Two outputs: the card, and below it the buttons and then the result's rich form.

    `listen` is called once, with what takes the task's events. Any thread may call any method.
    """

    def __init__(
        self,
        handle: TaskHandle,
        view: TaskView,
        surface: Surface,
        shell: Any,
        act: Callable[[str], None],
    ) -> None:
        self.view = view
        self.handle: TaskHandle | None = handle
        self.made_at = self.heard_at = self._shown_at = time.monotonic()
        self.done_at = self.made_at if view.is_done else None
        self._shell = shell
        self._surface = surface
        self._result: tuple[object, Shown] | None = None  # made once: repr may be slow
        self._kept: Shown | None = None  # the same once the result itself is let go of
        self._is_superseded = False
        self._is_paused = False  # the task's queue
        self._lock = threading.Lock()
        self._output = Output(surface, self._card)
        self._below = Output(surface, self._what_is_below)
        self._buttons = Buttons(act, self.say)

    def show(self) -> None:
        """Shows it in the running cell, and from now on there too."""
        self._shown_at = time.monotonic()
        self._output.show()
        self._below.show()

    @property
    def ids(self) -> frozenset[str]:
        return frozenset({self.view.id})

    def begin(self) -> None:
        """Learns of the end from the handle too, whoever tells it."""
        if self.handle is not None:
            self.handle.when_done(self._handle_is_done)

    def take(self, event: Event) -> None:
        """Takes an event of this task."""
        self.heard_at = time.monotonic()
        if event.kind is Kind.ENQUEUED and self.view.is_done and event.at > self.view.ended_at:
            self._is_superseded = True  # by a run that has a card of its own
        if event.kind in (Kind.PAUSED, Kind.RESUMED):
            self.learn_whether_paused(event.kind is Kind.PAUSED)
        self._change(lambda view: after(view, event))

    def say(self, text: str) -> None:
        """Tells something that no event does, such as what to do."""
        self._change(lambda view: replace(view, remedy=cleaned(text)))

    def learn_whether_paused(self, is_paused: bool) -> None:
        """Has the button below pause the task's queue, or resume it."""
        if is_paused is not self._is_paused:
            self._is_paused = is_paused
            self._below.changed()

    def end(self, why: str) -> None:
        """Freezes the card although the task is not done."""
        self._is_superseded = True
        self._change(lambda view: view if view.is_done else replace(view, ending=why, remedy=""))
        self._below.changed()

    def run_again(self, retry: Callable[[], TaskHandle]) -> TaskHandle:
        """Follows the failed task's next run, which `retry` begins; raises what that raises."""
        with self._lock:
            before, done_at = self.view, self.done_at
            # Its state is open before it is written: it may run before `retry` returns.
            fresh = TaskView(before.id, before.queue, attempts=before.attempts)
            self.view, self.done_at, self._kept = fresh, None, None
            self.made_at = self.heard_at = time.monotonic()
        try:
            self.handle = retry()
        except BaseException:
            with self._lock:
                self.view, self.done_at = before, done_at
            raise
        self.begin()
        self._output.changed()
        return self.handle

    def observe(self, standing: Standing) -> None:
        """Takes what Redis says, where no event did."""
        if self.handle is not None:
            self.handle.observe(standing)
        state = standing.state
        if state is not None and not state.is_finished:
            error = cleaned(standing.error or "")
            self._change(lambda view: _seen(view, state, error))

    # --- what the watch asks --------------------------------------------------------------------

    def tick(self) -> None:
        """Has the running time go on, and the buttons come."""
        if self.view.is_running:
            self._output.changed()
        self._below.changed()

    @property
    def is_over(self) -> bool:
        """Whether it needs no more looking after."""
        is_late = self.done_at is not None and time.monotonic() - self.done_at > LINGER
        return is_late and not self._can_be_retried

    def unheard(self, limit: int) -> list[TaskHandle]:
        """The handles, at most so many, of tasks that are not done and make no events."""
        is_silent = time.monotonic() - self.heard_at > SILENT_AFTER
        return [self.handle] if self.handle and is_silent and not self.view.is_done else []

    @property
    def waits_in(self) -> str:
        """The queue in which the task has been waiting for long; empty: it has not."""
        is_long = time.monotonic() - self.heard_at > SILENT_AFTER
        return self.view.queue if self.view.state is State.PENDING and is_long else ""

    def close(self) -> None:
        """Lets go of the handle and of the result; what is seen stays as it is."""
        handle, self.handle = self.handle, None
        if handle is not None:
            handle.forget(self._handle_is_done)
        if self._kept is None:
            self._kept = self._shown(self.view) or Shown("")
        with self._lock:
            self._result = None
            self.view = replace(self.view, result=None)
        self._below.changed()

    def take_away(self) -> None:
        """Lets go of its buttons too: it is not to be seen any more."""
        self.close()
        self._buttons.close()

    # --- inside ---------------------------------------------------------------------------------

    @property
    def _can_be_retried(self) -> bool:
        """Whether a failed task's buttons are there."""
        view = self.view
        is_failed = view.state is State.ARCHIVED and not view.ending and view.error != CANCELLED
        since = max(self.done_at or 0.0, self._shown_at)
        is_wanted = is_failed and not self._is_superseded and self._surface.is_attended
        return is_wanted and time.monotonic() - since < RETRY_FOR

    def _change(self, change: Callable[[TaskView], TaskView]) -> None:
        with self._lock:
            before, self.view = self.view, change(self.view)
            if self.view is before:
                return
            is_end = self.view.is_done and self.done_at is None
            if is_end:
                self.done_at = time.monotonic()
        self._output.changed()
        if is_end or self.view.state is not before.state:
            self._below.changed()

    def _handle_is_done(self) -> None:
        handle = self.handle
        if handle is not None:
            self._change(lambda view: _ended(view, handle))

    def _text(self) -> CardText:
        view = self.view
        cell_name = getattr(self._shell.compile, "format_code_name", lambda name: None)
        told = readable(view.traceback_text, cell_name) if view.traceback_text else ""
        return card_text(view, time.time(), self._shown(view), told)

    def _card(self) -> Bundle:
        text = self._text()
        return {"text/html": text.html(), "text/plain": text.plain()}

    def _what_is_below(self) -> Bundle:
        view = self.view
        is_old = time.monotonic() - self.made_at > BUTTONS_AFTER
        is_live = not view.is_done and is_old and self._surface.is_attended
        if is_live or (view.is_done and self._can_be_retried):
            offered = OF_TASK.get(view.state, ())
            if view.state is State.PENDING:
                offered += ("resume_queue" if self._is_paused else "pause_queue",)
            return self._buttons.bundle(offered, is_cancelling=view.is_cancelling)
        if not view.is_done:
            return {}
        self._buttons.close()
        shown = self._shown(view)
        return dict(shown.rich, **{"text/plain": shown.text}) if shown and shown.rich else {}

    def _shown(self, view: TaskView) -> Shown | None:
        if self._kept is not None:
            return self._kept
        if view.result is None or view.state is not State.COMPLETED:
            return None
        known, result = self._result, view.result
        if known is not None and known[0] is result:
            return known[1]
        made = self._made(result)
        self._result = (result, made)
        return made

    def _made(self, result: Value | bytes) -> Shown:
        return of_json(result) if isinstance(result, bytes) else of_value(result.value, self._shell)


def _ended(view: TaskView, handle: TaskHandle) -> TaskView:
    """The view once the handle knows the end, from whomever."""
    if view.ending or isinstance(view.result, Value):
        return view
    now = view.ended_at or time.time()
    try:
        value = handle.result(0)
    except TaskFailedError as error:
        told = error.traceback_text or view.traceback_text
        failed = replace(view, state=State.ARCHIVED, ended_at=now, error=cleaned(error.error))
        return replace(failed, traceback_text=told, remedy="")
    except UnknownTaskError as error:
        return replace(view, ending="gone", remedy=str(error))
    except RunqyError as error:
        if view.result is not None:
            return view
        return replace(view, state=State.COMPLETED, ended_at=now, remedy=str(error), error="")
    result = Value(value) if view.result is None else view.result
    return replace(view, state=State.COMPLETED, ended_at=now, result=result, remedy="", error="")


def _seen(view: TaskView, state: State, error: str) -> TaskView:
    if view.is_done or view.state is state:
        return view
    started = time.time() if state is State.ACTIVE else view.started_at
    return replace(view, state=state, error=error or view.error, started_at=started, remedy="")
