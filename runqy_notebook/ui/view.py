"""What is known of a task, and what each event changes about it: no notebook in here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from runqy_notebook.broker.notes import Said
from runqy_notebook.broker.records import TaskRecord
from runqy_notebook.errors import ResultNotStoredError
from runqy_notebook.ui.text import cleaned, cleaned_line
from runqy_notebook.wire.events import Event, Kind
from runqy_notebook.wire.outcomes import Archived, Completed, Crashed, Outcome, Retried
from runqy_notebook.wire.states import State

MOST_LINES: Final = 100  # log lines that a card keeps
MOST_DISPLAYS: Final = 6  # things displayed that a card keeps
MOST_ECHOES: Final = 3  # webhooks that a card keeps, and destinations of its result


@dataclass(frozen=True, slots=True)
class Value:
    """What a handler of this process returned."""

    value: object


@dataclass(frozen=True, slots=True)
class Display:
    """Something that a handler displayed, by mime type. What has an `id` may be replaced; what is
    local was displayed in this process, and is as trusted as the notebook's own outputs.
    """

    id: str
    data: Mapping[str, str]
    is_local: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TaskView:
    """A task as its card tells of it. Times are unix seconds, 0: not known; `told_at` is that of
    the newest event that told its state, by the server's clock.

    Of log lines, things displayed and webhooks the newest are kept, and the rest counted; of
    deliveries the newest event of each destination. Both go on when the task is done. `result` is
    a Value of this process, or JSON. `ending` says why nothing more is heard of it, where it is not
    its state that says so.
    """

    id: str
    queue: str
    state: State = State.PENDING
    by: str = ""
    attempt: int = 0
    attempts: int = 0
    enqueued_at: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    due_at: float = 0.0
    told_at: float = 0.0
    done: float = 0.0
    total: float = 0.0
    note: str = ""
    lines: tuple[str, ...] = ()
    lines_dropped: int = 0
    unfinished_line: str = ""
    displays: tuple[Display, ...] = ()
    displays_dropped: int = 0
    echoes: tuple[Event, ...] = ()
    echoes_dropped: int = 0
    deliveries: tuple[Event, ...] = ()
    result: Value | bytes | None = None
    error: str = ""
    traceback_text: str = ""
    remedy: str = ""
    is_cancelling: bool = False
    ending: str = ""

    @property
    def is_done(self) -> bool:
        """Whether nothing more is to come."""
        return self.state.is_finished or bool(self.ending)

    @property
    def is_running(self) -> bool:
        return self.state is State.ACTIVE and not self.ending

    @property
    def seconds(self) -> float:
        """How long the latest attempt took; 0: not known."""
        return self.ended_at - self.started_at if self.started_at and self.ended_at else 0.0


def of_record(record: TaskRecord) -> TaskView:
    """What Redis says of a task."""
    is_started = record.started_at is not None or record.starts > 0
    is_tried = record.state in (State.ACTIVE, State.COMPLETED, State.ARCHIVED)
    return TaskView(
        record.id,
        record.queue,
        record.state,
        by=record.worker or "",
        attempt=record.retry + is_tried if is_started else 0,
        attempts=record.max_retry + 1,
        enqueued_at=_unix(record.enqueued_at),
        started_at=_unix(record.started_at),
        ended_at=_unix(record.finished_at),
        due_at=_unix(record.due_at),
        told_at=_unix(record.started_at),
        error=cleaned(record.error or ""),
    )


def with_result(view: TaskView, result: bytes | None) -> TaskView:
    """With the result that Redis keeps of a completed task, or why there is none to show."""
    if result is None:
        return replace(view, remedy=str(ResultNotStoredError(view.id)))
    return replace(view, result=result)


def with_said(view: TaskView, said: Said) -> TaskView:
    """With what Redis keeps of what its handler said, from before anybody here listened."""
    note = "" if said.done is None else cleaned_line(said.note)
    known = replace(view, done=said.done or 0.0, total=said.total, note=note)
    event = Event(Kind.LOG, view.id, view.queue, 0.0, lines=said.lines, dropped=said.dropped)
    return _logged(known, event)


def after(view: TaskView, event: Event) -> TaskView:
    """The view once this event is known. What is late changes no state back."""
    match event.kind:
        case Kind.ENQUEUED:
            return _enqueued(view, event)
        case Kind.STARTED:
            return view if view.is_done or _is_late(view, event) else _started(view, event)
        case Kind.PROGRESS:
            note = cleaned_line(event.note)
            return replace(view, done=event.done, total=event.total, note=note)
        case Kind.LOG:
            return _logged(view, event)
        case Kind.DISPLAYED:
            return _displayed(view, event)
        case Kind.ECHO | Kind.DELIVERED:
            return _echoed(view, event) if event.kind is Kind.ECHO else _delivered(view, event)
        case Kind.CANCELLING:
            return replace(view, is_cancelling=not view.is_done)
        case Kind.DELETED:
            return replace(view, ending="deleted", ended_at=view.ended_at or event.at, remedy="")
        case _ if event.state is not None and not view.is_done:
            is_end = event.state.is_finished
            return _moved(view, event, event.state) if is_end or not _is_late(view, event) else view
    return view


def _is_late(view: TaskView, event: Event) -> bool:
    """Whether what the view shows came after it: what the worker of this process does and what
    others do is told in two ways, and one may be slower. Of one millisecond is what another one did
    with the task before who has it now.
    """
    is_before = view.is_running and cleaned_line(event.by) != view.by
    return event.at < view.told_at or (event.at == view.told_at and is_before)


def _enqueued(view: TaskView, event: Event) -> TaskView:
    known = replace(
        view,
        enqueued_at=view.enqueued_at or event.at,
        attempts=event.attempts or view.attempts,
        due_at=event.due_at or view.due_at,
    )
    if event.state is State.SCHEDULED and view.state is State.PENDING:
        return replace(known, state=State.SCHEDULED)
    return known


def _started(view: TaskView, event: Event) -> TaskView:
    """A new attempt: of the one before only its log stays."""
    return replace(
        view,
        state=State.ACTIVE,
        by=cleaned_line(event.by),
        attempt=event.attempt or view.attempt + 1,
        attempts=event.attempts or view.attempts,
        started_at=event.at,
        told_at=event.at,
        ended_at=0.0,
        due_at=0.0,
        done=0.0,
        total=0.0,
        note="",
        error="",
        traceback_text="",
        remedy="",
        is_cancelling=False,
    )


def _moved(view: TaskView, event: Event, state: State) -> TaskView:
    moved = replace(
        view,
        state=state,
        attempt=event.attempt or view.attempt,
        attempts=event.attempts or view.attempts,
        ended_at=event.at if state.is_finished or state is State.RETRY else 0.0,
        due_at=event.due_at or 0.0,
        told_at=event.at,
        error=cleaned(event.error) or ("" if state is State.COMPLETED else view.error),
        result=event.result,
        remedy="",
    )
    return moved if event.outcome is None else ended(moved, event.outcome)


def ended(view: TaskView, outcome: Outcome) -> TaskView:
    """The view once a worker of this process has told what became of the task."""
    match outcome:
        case Completed(value=value):
            return replace(view, state=State.COMPLETED, result=Value(value), error="")
        case Retried(error=error, traceback_text=told) | Archived(error=error, traceback_text=told):
            return replace(view, error=cleaned(error), traceback_text=told)
        case Crashed(error=error):
            return replace(view, error=cleaned(error))
    return view


def _logged(view: TaskView, event: Event) -> TaskView:
    kept = view.lines + tuple(cleaned_line(line) for line in event.lines[-MOST_LINES:])
    gone = max(0, len(view.lines) + len(event.lines) - MOST_LINES)
    return replace(
        view,
        lines=kept[-MOST_LINES:],
        lines_dropped=view.lines_dropped + max(0, event.dropped) + gone,
        unfinished_line=cleaned_line(event.note),
    )


def _displayed(view: TaskView, event: Event) -> TaskView:
    new = Display(event.note, event.data or {}, event.is_local)
    if new.id and any(each.id == new.id for each in view.displays):
        same = tuple(new if each.id == new.id else each for each in view.displays)
        return replace(view, displays=same)
    kept = (*view.displays, new)
    gone = max(0, len(kept) - MOST_DISPLAYS)
    dropped = view.displays_dropped + gone + max(0, event.dropped)
    return replace(view, displays=kept[gone:], displays_dropped=dropped)


def _echoed(view: TaskView, event: Event) -> TaskView:
    if event in view.echoes:  # heard, and among those of before its card was there too
        return view
    kept = sorted((*view.echoes, event), key=lambda echo: echo.at)
    gone = max(0, len(kept) - MOST_ECHOES)
    return replace(view, echoes=tuple(kept[gone:]), echoes_dropped=view.echoes_dropped + gone)


def _delivered(view: TaskView, event: Event) -> TaskView:
    def destination(each: Event) -> str:
        return each.note.partition(": ")[2]

    others = (each for each in view.deliveries if destination(each) != destination(event))
    return replace(view, deliveries=(*others, event)[-MOST_ECHOES:])


def _unix(moment: datetime | None) -> float:
    return moment.timestamp() if moment else 0.0
