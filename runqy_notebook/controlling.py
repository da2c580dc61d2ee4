"""What a session does to tasks and queues that exist: cancel, run now, delete, pause, purge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from runqy_notebook.broker.control import Answer, Control, Switched
from runqy_notebook.broker.exchanges import Retention
from runqy_notebook.broker.records import Standing
from runqy_notebook.broker.server import Server
from runqy_notebook.errors import (
    TaskStateError,
    UnknownQueueError,
    UnknownTaskError,
    UsageError,
)
from runqy_notebook.handles import TaskHandle
from runqy_notebook.listening import Listening
from runqy_notebook.looking import state_named
from runqy_notebook.settings import Settings
from runqy_notebook.waiting import Source
from runqy_notebook.wire import queues
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import CANCELLED
from runqy_notebook.wire.states import State


class Controlling(Listening):
    """The controlling part of a session. Its methods raise ConnectionFailedError, and
    UnknownTaskError or TaskStateError for a task with which it cannot be done.
    """

    settings: Settings
    source: Source

    def __init__(
        self, server: Server, retention: Retention, on_notice: Callable[[str], None]
    ) -> None:
        super().__init__(server, retention, on_notice)
        self._control = Control(self._broker, self._inspector)

    def task(self, task_id: str) -> TaskHandle:
        """The handle of a task that exists already, whoever enqueued it; raises UnknownTaskError
        where neither Redis nor this process knows it.
        """
        known: Any = self._inbox.handle_of(task_id)
        if known and not known.is_done:
            return known  # type: ignore[no-any-return]
        before = self._inbox.kept(task_id)
        try:
            record = self.record(task_id)
        except UnknownTaskError:
            if known:  # done, and its record gone
                return known  # type: ignore[no-any-return]
            raise
        made = TaskHandle(task_id, record.queue, self.source)
        if record.state.is_finished:
            return self._inbox.adopt(task_id, lambda: made)  # type: ignore[return-value]
        self._inbox.take_up(made, before)
        self._subscriber.hear_queue(record.queue)
        return made

    def attach(self, task_id: str) -> TaskHandle:
        """The handle of a task that was enqueued before this kernel began, or elsewhere: shown in a
        cell it tells all that is known of it (see `story`). Raises UnknownTaskError.
        """
        return self.task(task_id)

    def cancel(self, task_id: str) -> str:
        """Has a task never run, or end: "cancelled" where it waited and is archived now, or
        "cancelling" where it runs.

        A running handler is told (`current_task().cancelled`; an async one is cancelled) and has
        the setting `cancel_grace` to end; whatever it does, the task is archived as cancelled.
        """
        word = self.cancel_many([task_id])[task_id]
        if isinstance(word, Exception):
            raise word
        return word

    def cancel_many(self, ids: Sequence[str]) -> dict[str, str | Exception]:
        """The same for several tasks: by id what `cancel` gives, or the error it would raise."""
        found: dict[str, str | Exception] = {}
        for answer in self._control.cancel(ids):
            task_id = answer.task_id
            if answer.word == "CANCELLED":
                found[task_id] = "cancelled"
                self._tell(answer, Kind.ARCHIVED, State.ARCHIVED, CANCELLED)
                self._inbox.observe(Standing(task_id, State.ARCHIVED, CANCELLED))
            elif answer.word == "CANCELLING":
                found[task_id] = "cancelling"
                self._tell(answer, Kind.CANCELLING, State.ACTIVE)
                if self.worker:
                    self.worker.cancelling.ask(task_id)
            else:
                found[task_id] = refused(answer, _NO_CANCEL)
        return found

    def run_now(self, task_id: str) -> TaskHandle:
        """Makes a task the next one to run: a waiting one before its turn or time, a finished one
        once more, with the same payload and all its retries. Gives its handle; for a finished one
        that is a new handle, as the old one keeps what it knows.
        """
        record = self.record(task_id)
        if record.state.is_finished:
            handle = TaskHandle(task_id, record.queue, self.source)
            self._inbox.expect(handle)  # before it is written: it may be done before we return
            self._subscriber.hear_queue(record.queue)
        else:
            handle = self.task(task_id)
        answer = self._control.run_now(task_id)
        if answer.word not in ("NEXT", "AGAIN"):
            raise refused(answer, _NO_RUN)
        handle.queue = answer.queue
        self._tell(answer, Kind.ENQUEUED if answer.word == "AGAIN" else Kind.DUE, State.PENDING)
        return handle

    def delete(self, task_id: str) -> None:
        """Removes a task that is not running, with its record, result and log."""
        (answer,) = self._control.delete([task_id])
        if answer.word != "DELETED":
            raise refused(answer, _NO_DELETE)
        self._tell(answer, Kind.DELETED)

    def pause_queue(self, name: str) -> list[str]:
        """Has nothing claimed any more from the queues that `name` selects, and gives those that
        exist. Running tasks go on; foreign workers take no notice. Raises UnknownQueueError,
        QueueNameError.
        """
        chosen, others = self._selected(name)
        self._tell_queues(Kind.PAUSED, self._control.pause(chosen, others))
        return chosen

    def resume_queue(self, name: str) -> list[str]:
        """Has the queues that `name` selects claimed from again; raises what `pause_queue` does."""
        chosen, others = self._selected(name)
        self._tell_queues(Kind.RESUMED, self._control.resume(chosen, others))
        return chosen

    def purge(self, name: str, state: State | str) -> int:
        """Deletes all tasks of one state in the queues that `name` selects: how many there were.

        Active tasks cannot be purged. Raises UnknownQueueError, QueueNameError, SettingsError for
        an unknown state, UsageError.
        """
        wanted = state_named(state)
        if wanted is State.ACTIVE:
            raise UsageError("Active tasks cannot be purged: cancel them (%runqy cancel ID).")
        gone = 0
        for queue, number in self.count(name, wanted).items():
            for answer in self._control.purge(queue, wanted, number):
                self._tell(answer, Kind.DELETED)
                gone += 1
        return gone

    def _tell(
        self, answer: Answer, kind: Kind, state: State | None = None, error: str = ""
    ) -> None:
        """Tells the listeners of this process; others hear it over Redis."""
        self.events.publish(
            Event(kind, answer.task_id, answer.queue, answer.at, self.id, state, error=error)
        )

    def _tell_queues(self, kind: Kind, switched: Switched) -> None:
        for name in switched.names:
            self.events.publish(Event(kind, "", name, switched.at, self.id))

    def _asked(self, message: bytes) -> None:
        """Takes what was said on the control channel."""
        if message.startswith(b"cancel ") and self.worker:
            self.worker.cancelling.hurry()

    def _selected(self, name: str) -> tuple[list[str], list[str]]:
        """The known queues that `name` selects, and those that may come to be."""
        separator = self.settings.separator
        others = [name]
        if queues.can_be_parent(queues.checked(name), separator):
            others += queues.usual_sub_queues(name, separator)
        try:
            chosen = self.selected(name)
        except UnknownQueueError:
            if not self.worker or name not in self.worker.serving.names:
                raise
            chosen = [self.worker.serving.default(name)]
        return chosen, [other for other in others if other not in chosen]


_NO_CANCEL: Final = {
    "FINISHED": "is {state} already: there is nothing to cancel.",
    "FOREIGN": "runs in a foreign worker, which cannot be asked to stop: wait for its end, or stop "
    "that worker.",
}
_NO_RUN: Final = {
    "RUNNING": "is running already.",
    "FOREIGN": "is running already, in a foreign worker.",
    "WAITING": "waits for its hash, or for its present run to end, and comes by itself then.",
}
_NO_DELETE: Final = {
    "RUNNING": "is running: cancel it first (%runqy cancel ID).",
    "FOREIGN": "runs in a foreign worker: wait for its end.",
}


def refused(answer: Answer, reasons: dict[str, str]) -> Exception:
    """Why what was asked was not done."""
    if answer.problem:
        return answer.problem
    if answer.word == "GONE":
        return UnknownTaskError(answer.task_id)
    reason = reasons.get(
        answer.word,
        "stands in no list, though it is {state}: a foreign worker may be moving it, or keeping it "
        "for a retry. Try again; %runqy doctor tells whether it is lost.",
    )
    return TaskStateError(answer.task_id, reason.format(state=answer.state))
