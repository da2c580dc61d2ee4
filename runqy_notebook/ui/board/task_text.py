"""What the Tasks panel says of a task, word by word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from runqy_notebook.broker.records import TaskRecord
from runqy_notebook.ui import html
from runqy_notebook.ui.text import cleaned_line, clock, duration
from runqy_notebook.wire.states import State

_TONES: Final = {
    State.PENDING: "muted",
    State.ACTIVE: "busy",
    State.SCHEDULED: "muted",
    State.RETRY: "warm",
    State.COMPLETED: "good",
    State.ARCHIVED: "bad",
}


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task's texts, all of them clean. `tone` names a colour."""

    id: str
    queue: str
    state: str
    tone: str
    when: str
    attempt: str
    about: str  # its error, else its payload

    def html(self) -> str:
        """All of it but the id, as one row."""
        return html.rendered("board/task_line.html", line=self)

    def cells(self) -> list[str]:
        """All of it, for a table."""
        return [self.id, self.state, self.queue, self.when, self.attempt, self.about]


HEAD: Final = ("id", "state", "queue", "when", "attempt", "payload or error")


def task_line(task: TaskRecord) -> TaskLine:
    """A task in words: none of them changes with time alone."""
    kind = task.type if task.type not in ("", "task") else ""
    payload = cleaned_line(task.payload[:400].decode("utf-8", "replace"), 120)
    is_failed = task.state in (State.RETRY, State.ARCHIVED) or not task.payload
    error = cleaned_line(task.error, 160) if task.error and is_failed else ""
    return TaskLine(
        id=cleaned_line(task.id, 60) or "(empty id)",
        queue=cleaned_line(task.queue, 60),
        state="cancelling" if task.is_cancelling else task.state.value,
        tone=_TONES[task.state],
        when=_when(task),
        attempt=f"attempt {task.retry + 1} of {task.max_retry + 1}" if task.retry else "",
        about=error or " ".join(filter(None, [cleaned_line(kind, 40), payload])),
    )


def table(tasks: Sequence[TaskRecord], caption: str) -> str:
    """Tasks as an HTML table that stays as it is."""
    rows = [task_line(task).cells() for task in tasks]
    return html.rendered("board/table.html", head=HEAD, rows=rows, caption=caption)


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells as plain text, in columns."""
    every = [list(head), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in every)
    return "\n".join(lines)


def _when(task: TaskRecord) -> str:
    if task.state.is_finished and task.finished_at:
        took = f", took {duration(task.duration)}" if task.duration is not None else ""
        return f"at {_clock(task.finished_at)}{took}"
    if task.due_at:
        return f"due at {_clock(task.due_at)}"
    if task.state is State.ACTIVE:
        return f"since {_clock(task.started_at)}" if task.started_at else "elsewhere"
    return f"since {_clock(task.enqueued_at)}" if task.enqueued_at else ""


def _clock(moment: datetime) -> str:
    return clock(moment.timestamp())
